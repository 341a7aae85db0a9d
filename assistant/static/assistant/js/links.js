/** The links into a session, in the people sheet, which loads this when it is first opened: invitations, and the one to read along by. */

import { api } from "./api.js";
import { orNotice } from "./notices.js";
import { clone, copyText, flash, part, reconcile, setHidden, setText } from "./parts.js";
import { mayWrite } from "./state/selectors.js";
import { sure } from "./sure.js";

const ROLES = { editor: "Editor", viewer: "Viewer" };

export function showLinks({ store, sessionId }) {
  const sheet = document.getElementById("people-sheet");
  const form = sheet.querySelector("[data-invite]");
  const made = sheet.querySelector("[data-invite-made]");
  const list = sheet.querySelector("[data-invitations]");
  const share = sheet.querySelector("[data-share]");
  const shown = part(share, "made");
  const elements = new Map();
  let invitations = [];
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
  new MutationObserver(() => {
    isAsked = false;
    if (sheet.open) load();
  }).observe(sheet, { attributeFilter: ["open"] });
  sheet.addEventListener("close", () => setHidden(made, true));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { role, expires_in, max_uses } = form.elements;
    const wanted = { role: role.value, expires_in: Number(expires_in.value), max_uses: Number(max_uses.value) || null };
    const answer = await orNotice(() => api.invite(sessionId, wanted));
    if (!answer) return;
    setHidden(made, false);
    const link = part(made, "link");
    link.value = here(answer.url);
    link.select();
    setText(part(made, "until"), `Works until ${until(answer)}.`);
    invitations = [answer, ...invitations];
    store.repaint();
  });
  part(made, "copy").addEventListener("click", ({ currentTarget }) => copy(currentTarget, part(made, "link").value));
  part(shown, "copy").addEventListener("click", ({ currentTarget }) => copy(currentTarget, part(shown, "link").value));

  part(share, "on").addEventListener("change", async ({ target }) => {
    if (target.checked) showShare(await orNotice(() => api.share(sessionId)));
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

  function showShare(answer) {
    if (!answer) return;
    shareUrl = answer.url;
    part(shown, "link").value = answer.url ? here(answer.url) : "";
    store.dispatch({ type: "session.shared", shared: answer.shared });
  }

  function makeInvitation({ id }) {
    const element = clone("invitation-template");
    const one = () => invitations.find((each) => each.id === id);
    part(element, "copy").addEventListener("click", ({ currentTarget }) => copy(currentTarget, here(one().url)));
    part(element, "revoke").addEventListener("click", async () => {
      if (!(await orNotice(() => api.revoke(sessionId, id)))) return;
      invitations = invitations.filter((each) => each.id !== id);
      setHidden(made, true);
      store.repaint();
      form.querySelector("[type=submit]").focus();
    });
    return element;
  }
}

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

function until({ expires_at }) {
  return new Date(expires_at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** The address as this browser reaches the site. */
function here(url) {
  return new URL(new URL(url, location.href).pathname, location.origin).href;
}

async function copy(button, text) {
  flash(button, (await copyText(text)) ? "Copied" : "Could not copy");
}
