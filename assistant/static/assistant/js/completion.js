/** Completes names after "@" in the composer: arrows choose, Enter or Tab takes, Esc leaves. */

import { matching, typedMention } from "./mentions.js";
import { clone, part, setHidden, setText } from "./parts.js";

const MOST = 6;

/** people() is a list of {name, note, hue}. */
export function completeNames({ field, people }) {
  const list = document.querySelector("[data-mentions]");
  const said = document.querySelector("[data-mentions-said]");
  let found = [];
  let typed = null;
  let chosen = 0;
  let left = -1; // where the mention begins that Esc has left alone

  function look() {
    typed = document.activeElement === field && field.selectionStart === field.selectionEnd ? typedMention(field.value, field.selectionStart) : null;
    if (typed?.start !== left) left = -1;
    found = typed && left < 0 ? matching(people(), typed.query).slice(0, MOST) : [];
    chosen = 0;
    draw();
  }

  function draw() {
    setHidden(list, !found.length);
    setText(said, found.length ? `${found.length} ${found.length === 1 ? "name" : "names"}, arrows choose` : "");
    list.replaceChildren(...found.map(option));
    if (found.length) field.setAttribute("aria-activedescendant", `mention-${chosen}`);
    else field.removeAttribute("aria-activedescendant");
  }

  function option(person, index) {
    const element = clone("mention-template");
    element.id = `mention-${index}`;
    element.setAttribute("aria-selected", String(index === chosen));
    setText(part(element, "name"), person.name);
    setText(part(element, "note"), person.note ?? "");
    if (person.hue !== undefined) part(element, "name").style.setProperty("--hue", person.hue);
    return element;
  }

  function take(index) {
    const { name } = found[index];
    const after = field.value.slice(field.selectionStart);
    field.setRangeText(`@${name}${/^\s/.test(after) ? "" : " "}`, typed.start, field.selectionStart, "end");
    found = [];
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
  }

  function leave() {
    left = typed?.start ?? -1;
    found = [];
    draw();
  }

  // Before the composer, whose Enter sends.
  field.addEventListener(
    "keydown",
    (event) => {
      if (!found.length || event.isComposing) return;
      const steps = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (steps) {
        chosen = (chosen + steps + found.length) % found.length;
        draw();
      } else if (event.key === "Enter" || (event.key === "Tab" && !event.shiftKey)) take(chosen);
      else if (event.key === "Escape") leave();
      else return;
      event.preventDefault();
      event.stopImmediatePropagation();
    },
    { capture: true },
  );
  for (const name of ["input", "click", "keyup", "focus"]) {
    field.addEventListener(name, (event) => (name === "keyup" && !/^(Arrow(Left|Right)|Home|End)$/.test(event.key) ? null : look()));
  }
  field.addEventListener("blur", look);
  list.addEventListener("pointerdown", (event) => {
    event.preventDefault(); // the focus stays in the text
    const index = [...list.children].indexOf(event.target.closest("[role=option]"));
    if (index >= 0) take(index);
  });
}
