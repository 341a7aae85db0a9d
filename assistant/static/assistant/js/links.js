// @ts-check
/** The links into a session, in the people sheet, which loads this when it is first opened: invitations, and the one to read along by. */

import { api } from "./api.js";
import { copyBy } from "./clipboard.js";
import { orNotice } from "./notices.js";
import { byId, clone, fieldOf, one, part, setHidden, setText } from "./parts.js";
import { reconcile } from "./reconcile.js";
import { onOpen } from "./sheets.js";
import { mayWrite } from "./state/selectors.js";
import { sure } from "./sure.js";

/** @import { Invitation, Share } from "parley/api" */
/** @import { State } from "./state/reducer.js" */
/** @import { Store } from "./store.js" */

const ROLES = { editor: "Editor", viewer: "Viewer" };

/** @param {{ store: Store, sessionId: string }} options */
export function showLinks({ store, sessionId }) {
  const sheet = byId("people-sheet");
  const form = one(sheet, "[data-invite]");
  const made = one(sheet, "[data-invite-made]");
  const list = one(sheet, "[data-invitations]");
  const share = one(sheet, "[data-share]");
  const shown = part(share, "made");
  /** @type {HTMLInputElement} */
  const inviteLink = part(made, "link");
  /** @type {HTMLInputElement} */
  const shareLink = part(shown, "link");
  /** @type {Map<number, HTMLLIElement>} */
  const elements = new Map();
  /** @type {Invitation[]} */
  let invitations = [];
  /** @type {string | null} */
  let shareUrl = null;
  let isAsked = false; // since the sheet was opened

  store.paint((state) => {
    if (sheet.open && !isAsked) load(); // it was opened before one was known here
    const isOwner = state.you?.role === "owner";
    setHidden(form, !state.you || !mayWrite(state));
    setHidden(share, !isOwner && !state.shared);
    setHidden(part(share, "choice"), !isOwner);
    setHidden(part(share, "note"), isOwner);
    part(share, "on").checked = state.shared;
    setHidden(shown, !(isOwner && state.shared && shareUrl));
    reconcile(list, invitations, { elements, key: ({ id }) => id, make: makeInvitation, draw: (each, one) => drawInvitation(each, one, state) });
  });

  async function load() {
    const { you } = store.state;
    if (!you || !mayWrite(store.state)) return;
    isAsked = true;
    invitations = (await orNotice(() => api.invitations(sessionId)))?.invitations ?? invitations;
    if (you.role === "owner") showShare(await orNotice(() => api.shared(sessionId)));
    store.repaint();
  }

  load();
  onOpen(sheet, load);
  sheet.addEventListener("close", () => {
    isAsked = false;
    setHidden(made, true);
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const role = /** @type {Invitation["role"]} */ (fieldOf(form, "role").value);
    const expires_in = Number(fieldOf(form, "expires_in").value);
    const max_uses = Number(fieldOf(form, "max_uses").value) || null;
    const answer = await orNotice(() => api.invite(sessionId, { role, expires_in, max_uses }));
    if (!answer) return;
    setHidden(made, false);
    inviteLink.value = here(answer);
    inviteLink.select();
    setText(part(made, "until"), `Works until ${until(answer)}.`);
    invitations = [answer, ...invitations];
    store.repaint();
  });
  part(made, "copy").addEventListener("click", () => copyBy(part(made, "copy"), inviteLink.value));
  part(shown, "copy").addEventListener("click", () => copyBy(part(shown, "copy"), shareLink.value));

  part(share, "on").addEventListener("change", async () => {
    if (part(share, "on").checked) showShare(await orNotice(() => api.share(sessionId)));
    else if (
      await sure({
        heading: "End reading along?",
        text: "Everybody who reads along is disconnected at once. The link never works again; a new one is another link.",
        yes: "End it",
      })
    ) {
      if (await orNotice(() => api.unshare(sessionId))) showShare({ shared: false, url: null });
    }
    store.repaint();
  });

  /** @param {Share} [answer] nothing: it was refused */
  function showShare(answer) {
    if (!answer) return;
    shareUrl = answer.url;
    shareLink.value = here(answer);
    store.dispatch({ type: "session.shared", shared: answer.shared });
  }

  /** @param {Invitation} invitation */
  function makeInvitation(invitation) {
    const { id } = invitation;
    const element = clone("invitation-template");
    part(element, "copy").addEventListener("click", () => copyBy(part(element, "copy"), here(invitation)));
    part(element, "revoke").addEventListener("click", async () => {
      if (!(await orNotice(() => api.revoke(sessionId, id)))) return;
      invitations = invitations.filter((each) => each.id !== id);
      setHidden(made, true);
      store.repaint();
      /** @type {HTMLButtonElement | null} */ (form.querySelector("[type=submit]"))?.focus();
    });
    return element;
  }
}

/**
 * @param {HTMLElement} element
 * @param {Invitation} invitation
 * @param {State} state
 */
function drawInvitation(element, invitation, { you }) {
  const { role, uses, max_uses, created_by, url } = invitation;
  const byWhom = created_by.id === you?.id ? "" : `, by ${created_by.name}`;
  const times = uses === 1 ? "used once" : `used ${uses} times`;
  const used = max_uses ? `${uses} of ${max_uses} used` : uses ? times : "not used yet";
  setText(part(element, "what"), `${ROLES[role]} · ${used}`);
  setText(part(element, "until"), `until ${until(invitation)}${byWhom}`);
  setHidden(part(element, "copy"), !url);
  setHidden(part(element, "revoke"), you?.role !== "owner" && created_by.id !== you?.id);
  part(element, "copy").setAttribute("aria-label", `Copy the link for ${ROLES[role].toLowerCase()}s until ${until(invitation)}`);
  part(element, "revoke").setAttribute("aria-label", `Revoke the link for ${ROLES[role].toLowerCase()}s until ${until(invitation)}`);
}

/** @param {Invitation} invitation */
function until({ expires_at }) {
  return new Date(expires_at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/**
 * The address of a link as this browser reaches the site; "" where it can't be told.
 * @param {{ url: string | null }} link
 */
function here({ url }) {
  return url ? new URL(new URL(url, location.href).pathname, location.origin).href : "";
}
