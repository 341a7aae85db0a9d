/** Who is in the session, who is here now, who is typing; and the link that lets others in. */

import { api } from "./api.js";
import { orNotice } from "./notices.js";
import { clone, copyText, flash, part, reconcile, setHidden, setText } from "./parts.js";
import { mayWrite, typists } from "./state.js";

const FACES = 4;
const ROLES = { owner: "Owner", editor: "Editor", viewer: "Viewer" };

export function showPeople({ store, sessionId }) {
  const faces = document.querySelector("[data-faces]");
  const opener = document.querySelector("[data-people-open]");
  const sheet = document.getElementById("people-sheet");
  const list = sheet.querySelector("[data-people]");
  const invitation = sheet.querySelector("[data-invite]");
  const made = sheet.querySelector("[data-invite-made]");
  const typing = document.querySelector("[data-typing]");
  const faceElements = new Map();
  const personElements = new Map();

  store.paint((state) => {
    const isHere = (person) => state.online.includes(person.id) || person.id === state.you?.id;
    const people = [...state.participants].sort((a, b) => isHere(b) - isHere(a) || a.name.localeCompare(b.name));
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
      make: () => clone("person-template"),
      draw(element, person) {
        drawFace(part(element, "face"), person, isHere(person));
        setText(part(element, "name"), person.id === state.you?.id ? `${person.name} (you)` : person.name);
        setText(part(element, "role"), `${ROLES[person.role] ?? person.role}${isHere(person) ? " · here" : ""}`);
      },
    });
    setHidden(invitation, !mayWrite(state));
    const names = typists(state, Date.now());
    const verb = names.length === 1 ? "is" : "are";
    setText(typing, names.length ? `${names.slice(0, 3).join(", ")}${names.length > 3 ? " and others" : ""} ${verb} typing…` : "");
  });

  invitation.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await orNotice(() => api.invite(sessionId, invitation.elements.role.value));
    if (!answer) return;
    made.hidden = false;
    const link = part(made, "link");
    link.value = new URL(answer.url, location.href).href;
    link.select();
    setText(part(made, "until"), `Works until ${new Date(answer.expires_at).toLocaleString()}.`);
  });
  part(made, "copy").addEventListener("click", async (event) => {
    flash(event.currentTarget, (await copyText(part(made, "link").value)) ? "Copied" : "Could not copy");
  });
  sheet.addEventListener("close", () => (made.hidden = true));
}

function drawFace(face, person, isHere) {
  face.dataset.letter = [...person.name][0]?.toUpperCase() ?? "?";
  face.style.setProperty("--hue", person.color);
  face.classList.toggle("is-away", !isHere);
  face.title = person.name;
}
