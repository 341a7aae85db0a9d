// @ts-check
/** What every page of the room has: sheets that open and close, the help, the keys. */

import { pageAddress } from "./addresses.js";
import { byId, near, one } from "./parts.js";

const KEYS = "parley:keys";

function keysAreOn() {
  try {
    return localStorage.getItem(KEYS) !== "off";
  } catch {
    return true;
  }
}

/**
 * `keys` are the page's own, with what each does. Each stands in the help sheet (`_help_sheet.html`).
 * @param {{ focusComposer: () => void, keys?: Record<string, () => void> }} options
 */
export function showShell({ focusComposer, keys = {} }) {
  const help = byId("help-sheet");

  document.addEventListener("click", (event) => {
    const opener = near(event, "[data-sheet]");
    if (opener) {
      /** @type {HTMLElement | null} */ (opener.closest("[popover]"))?.hidePopover();
      const sheet = /** @type {HTMLDialogElement} */ (document.getElementById(opener.dataset.sheet ?? ""));
      sheet.showModal();
    }
    near(event, "[data-close]")?.closest("dialog")?.close();
    if (event.target instanceof HTMLDialogElement) closeOutside(event.target, event);
  });

  const wanted = one(help, "[data-keys]");
  wanted.checked = keysAreOn();
  wanted.addEventListener("change", () => {
    try {
      localStorage.setItem(KEYS, wanted.checked ? "on" : "off");
    } catch {
      // Then it holds until the page is left.
    }
  });

  document.addEventListener("keydown", (event) => {
    const isWriting = near(event, "input, textarea, select, [contenteditable]");
    if (isWriting || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (!wanted.checked) return;
    /** @type {Record<string, () => void>} */
    const all = { "/": focusComposer, "?": () => help.showModal(), n: () => location.assign(pageAddress("new/")), ...keys };
    const action = Object.hasOwn(all, event.key) ? all[event.key] : null;
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/**
 * A click beside the sheet closes it.
 * @param {HTMLDialogElement} sheet
 * @param {MouseEvent} click
 */
function closeOutside(sheet, { clientX, clientY }) {
  const { left, right, top, bottom } = sheet.getBoundingClientRect();
  const isInside = clientX >= left && clientX <= right && clientY >= top && clientY <= bottom;
  if (!isInside && clientX) sheet.close();
}
