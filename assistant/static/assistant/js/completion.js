// @ts-check
/** Completes names after "@" in the composer: arrows choose, Enter or Tab takes, Esc leaves. */

import { matching, typedMention } from "./mentions.js";
import { clone, near, one, part, setHidden, setText } from "./parts.js";

const MOST = 6;

/** @typedef {{ name: string, note?: string, hue?: number }} Named */

/**
 * people() are those who can be mentioned.
 * @param {{ field: HTMLTextAreaElement, people: () => Named[] }} options
 */
export function completeNames({ field, people }) {
  const list = one(document, "[data-mentions]");
  const said = one(document, "[data-mentions-said]");
  /** @type {Named[]} */
  let found = [];
  /** @type {ReturnType<typeof typedMention>} */
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

  /**
   * @param {Named} person
   * @param {number} index
   */
  function option(person, index) {
    const element = clone("mention-template");
    element.id = `mention-${index}`;
    element.setAttribute("aria-selected", String(index === chosen));
    setText(part(element, "name"), person.name);
    setText(part(element, "note"), person.note ?? "");
    if (person.hue !== undefined) part(element, "name").style.setProperty("--hue", String(person.hue));
    return element;
  }

  /** @param {number} index */
  function take(index) {
    const taken = found[index];
    if (!taken || !typed) return;
    const after = field.value.slice(field.selectionStart);
    field.setRangeText(`@${taken.name}${/^\s/.test(after) ? "" : " "}`, typed.start, field.selectionStart, "end");
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
      const steps = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
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
  for (const name of ["input", "click", "focus", "blur"]) field.addEventListener(name, look);
  field.addEventListener("keyup", ({ key }) => {
    if (/^(Arrow(Left|Right)|Home|End)$/.test(key)) look();
  });
  list.addEventListener("pointerdown", (event) => {
    event.preventDefault(); // the focus stays in the text
    const option = near(event, "[role=option]");
    if (option) take([...list.children].indexOf(option));
  });
}
