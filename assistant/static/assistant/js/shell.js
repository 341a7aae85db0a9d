/** What every page of the room has: sheets that open and close, the help, the keys. */

const KEYS = "parley:keys";

function keysAreOn() {
  try {
    return localStorage.getItem(KEYS) !== "off";
  } catch {
    return true;
  }
}

/** `keys` are the page's own: {key: action}. Each stands in the help sheet (`_help_sheet.html`). */
export function showShell({ focusComposer, keys = {} }) {
  const help = document.getElementById("help-sheet");

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-sheet]");
    if (opener) {
      opener.closest("[popover]")?.hidePopover();
      document.getElementById(opener.dataset.sheet).showModal();
    }
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
    if (event.target instanceof HTMLDialogElement) closeOutside(event);
  });

  const wanted = help.querySelector("[data-keys]");
  wanted.checked = keysAreOn();
  wanted.addEventListener("change", () => {
    try {
      localStorage.setItem(KEYS, wanted.checked ? "on" : "off");
    } catch {
      // Then it holds until the page is left.
    }
  });

  document.addEventListener("keydown", (event) => {
    const isWriting = event.target.closest("input, textarea, select, [contenteditable]");
    if (isWriting || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (!wanted.checked) return;
    const all = { "/": focusComposer, "?": () => help.showModal(), n: () => location.assign("/new/"), ...keys };
    const action = Object.hasOwn(all, event.key) ? all[event.key] : null;
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** A click beside the sheet closes it. */
function closeOutside(event) {
  const { left, right, top, bottom } = event.target.getBoundingClientRect();
  const isInside = event.clientX >= left && event.clientX <= right && event.clientY >= top && event.clientY <= bottom;
  if (!isInside && event.clientX) event.target.close();
}
