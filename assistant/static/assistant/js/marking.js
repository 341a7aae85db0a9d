// @ts-check
/** Marks the names of people in a message that is shown, and one's own a little more. */

import { ASSISTANT, keyOf, mentionPattern } from "./mentions.js";
import { clone } from "./parts.js";

/**
 * Returns what marks the names in an element.
 * @param {() => { all: string[], own: string[] }} names
 */
export function nameMarker(names) {
  return (/** @type {HTMLElement} */ element) => {
    if (!element.textContent?.includes("@")) return;
    const { all, own } = names();
    const pattern = mentionPattern([ASSISTANT, ...all]);
    const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    /** @type {Text[]} */
    const found = [];
    while (texts.nextNode()) {
      const text = /** @type {Text} */ (texts.currentNode);
      if (!text.parentElement?.closest("code, pre, a, .mention")) found.push(text);
    }
    for (const text of found) if (pattern) mark(text, pattern, own.map(keyOf));
  };
}

/**
 * @param {Text} text
 * @param {RegExp} pattern
 * @param {string[]} own
 */
function mark(text, pattern, own) {
  // From the last to the first, so that the places of the others stay right.
  for (const match of [...text.data.matchAll(pattern)].reverse()) {
    const name = text.splitText(match.index);
    name.splitText(match[0].length);
    const marked = clone("mention-mark-template");
    marked.classList.toggle("is-you", own.includes(keyOf(match[1] ?? "")));
    name.replaceWith(marked);
    marked.append(name);
  }
}
