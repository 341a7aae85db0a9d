// @ts-check
/** Short sentences about what just happened or failed; read out politely, gone by themselves. */

import { refusal } from "./http.js";
import { clone } from "./parts.js";

/** @param {string} text */
export function notice(text) {
  const shown = clone("notice-template");
  shown.textContent = text;
  // Above an open dialog, which would otherwise cover it.
  const home = document.querySelector("dialog[open] [data-notices]") ?? document.querySelector(".notices");
  home?.append(shown);
  setTimeout(() => shown.remove(), Math.max(4000, 60 * text.length));
}

/**
 * Runs an action; where it is refused, says why. Resolves to its result, or undefined.
 * @template T
 * @param {() => Promise<T>} action
 */
export async function orNotice(action) {
  try {
    return await action();
  } catch (error) {
    notice(refusal(error).message);
    return undefined;
  }
}
