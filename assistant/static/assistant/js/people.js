// @ts-check
/** Who is in the session, who is here now, who is typing; and what its owner does about it. */

import { pageAddress } from "./addresses.js";
import { api } from "./api.js";
import { orNotice } from "./notices.js";
import { byId, clone, one, part, setHidden, setText } from "./parts.js";
import { reconcile } from "./reconcile.js";
import { later, onOpen } from "./sheets.js";
import { mayWrite, typists } from "./state/selectors.js";
import { sure } from "./sure.js";

/** @import { ToldParticipant, UserId } from "parley/frames" */
/** @import { Store } from "./store.js" */

const FACES = 4;
/** @type {Record<string, string>} */
const ROLES = { owner: "Owner", editor: "Editor", viewer: "Viewer" };

/** @param {{ store: Store, sessionId: string }} options */
export function showPeople({ store, sessionId }) {
  const faces = one(document, "[data-faces]");
  const opener = one(document, "[data-people-open]");
  const inviter = one(document, "[data-invite-open]");
  const sheet = byId("people-sheet");
  const list = one(sheet, "[data-people]");
  const readers = one(sheet, "[data-readers]");
  const handOver = one(sheet, "[data-hand-over]");
  const leave = one(sheet, "[data-leave]");
  const typing = one(document, "[data-typing]");
  /** @type {Map<UserId, HTMLElement>} */
  const faceElements = new Map();
  /** @type {Map<UserId, HTMLElement>} */
  const personElements = new Map();

  store.paint((state) => {
    const isHere = (/** @type {ToldParticipant} */ person) => state.online.includes(person.id) || person.id === state.you?.id;
    const people = [...state.participants].sort((a, b) => Number(isHere(b)) - Number(isHere(a)) || a.name.localeCompare(b.name));
    const isOwner = state.you?.role === "owner";
    reconcile(faces, people.slice(0, FACES), {
      elements: faceElements,
      key: (person) => person.id,
      make: () => clone("face-template"),
      draw: (face, person) => drawFace(face, person, isHere(person)),
    });
    const here = people.filter(isHere).length;
    opener.setAttribute("aria-label", `People: ${people.length}, ${here} here now`);
    setText(part(opener, "more"), people.length > FACES ? `+${people.length - FACES}` : "");
    reconcile(list, people, {
      elements: personElements,
      key: (person) => person.id,
      make: makePerson,
      draw(element, person) {
        const isYou = person.id === state.you?.id;
        const mayChange = isOwner && !isYou;
        drawFace(part(element, "face"), person, isHere(person));
        setText(part(element, "name"), isYou ? `${person.name} (you)` : person.name);
        setText(part(element, "here"), isHere(person) ? "here now" : "");
        setText(part(element, "role"), ROLES[person.role ?? ""] ?? "");
        setHidden(part(element, "role"), mayChange);
        const select = part(element, "select");
        setHidden(select, !mayChange);
        select.setAttribute("aria-label", `Role of ${person.name}`);
        // Of an owner it could never be right, and a select that is set makes browsers look for forms all over the page.
        if (mayChange && select.value !== person.role) select.value = person.role ?? "";
        setHidden(part(element, "remove"), !mayChange);
        part(element, "remove").setAttribute("aria-label", `Remove ${person.name}`);
      },
    });
    setHidden(readers, !state.readers);
    setText(readers, `${state.readers} ${state.readers === 1 ? "reads" : "read"} along by the link.`);
    setHidden(handOver, !isOwner || people.length < 2);
    setHidden(leave, !state.you || isOwner);
    setHidden(inviter, !mayWrite(state));
    const names = typists(state, Date.now());
    const verb = names.length === 1 ? "is" : "are";
    setText(typing, names.length ? `${names.slice(0, 3).join(", ")}${names.length > 3 ? " and others" : ""} ${verb} typing…` : "");
  });

  /** @param {ToldParticipant} told */
  function makePerson(told) {
    const { id } = told;
    const element = clone("person-template");
    const person = () => store.state.participants.find((each) => each.id === id) ?? told;
    const select = part(element, "select");
    select.addEventListener("change", async () => {
      const role = /** @type {"editor" | "viewer"} */ (select.value);
      const changed = await orNotice(() => api.changeRole(sessionId, id, role));
      if (changed) store.dispatch({ type: "participant.updated", participant: changed });
      else store.repaint();
    });
    part(element, "remove").addEventListener("click", async () => {
      const { name } = person();
      const isSure = await sure({
        heading: `Remove ${name}?`,
        text: `${name} is disconnected at once, and comes back only by a new invitation. What they said stays; what they have waiting is withdrawn.${store.state.shared ? " By the link to read along they could still read." : ""}`,
        yes: "Remove",
      });
      if (!isSure) return;
      const gone = await orNotice(() => api.removeParticipant(sessionId, id));
      if (gone) store.dispatch({ type: "participant.removed", participant: person() });
    });
    return element;
  }

  const links = later(async () => (await import("./links.js")).showLinks({ store, sessionId }));
  onOpen(sheet, () => orNotice(links));

  handOver.addEventListener("click", async () => {
    const { participants, you } = store.state;
    const heir = await sure({
      heading: "Hand the session over?",
      text: "The new owner decides who takes part. You stay as an editor.",
      yes: "Hand over",
      choices: participants.filter(({ id }) => id !== you?.id).map(({ id, name }) => ({ value: String(id), label: name })),
    });
    const chosen = participants.find(({ id }) => String(id) === heir);
    if (!chosen) return;
    const handed = await orNotice(() => api.handOver(sessionId, chosen.id));
    for (const participant of handed?.participants ?? []) store.dispatch({ type: "participant.updated", participant });
  });
  leave.addEventListener("click", async () => {
    const isSure = await sure({
      heading: "Leave the session?",
      text: "It goes out of your list. What you said stays, and you come back only by an invitation.",
      yes: "Leave",
    });
    if (isSure && (await orNotice(() => api.leave(sessionId)))) location.assign(pageAddress());
  });
}

/**
 * @param {HTMLElement} face
 * @param {ToldParticipant} person
 * @param {boolean} isHere
 */
function drawFace(face, person, isHere) {
  face.dataset.letter = [...person.name][0]?.toUpperCase() ?? "?";
  face.style.setProperty("--hue", String(person.color));
  face.classList.toggle("is-away", !isHere);
  face.title = person.name;
}
