// @ts-check
/** Copying, and the button that says that it is done. */

/**
 * Copies a text. Resolves to whether that worked.
 * @param {string} text
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyOld(text);
  }
}

/**
 * Plain-http addresses other than localhost have no clipboard API.
 * @param {string} text
 */
function copyOld(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  return isCopied;
}

/**
 * Shows for a moment that a button's work was done.
 * @param {HTMLElement} button
 * @param {string} text
 */
function flash(button, text) {
  const label = button.getAttribute("aria-label");
  button.classList.add("is-done");
  button.setAttribute("aria-label", text);
  setTimeout(() => {
    button.classList.remove("is-done");
    if (label) button.setAttribute("aria-label", label);
    else button.removeAttribute("aria-label");
  }, 1600);
}

/**
 * Copies a text by a button, which says how that went.
 * @param {HTMLElement} button
 * @param {string} text
 */
export async function copyBy(button, text) {
  flash(button, (await copyText(text)) ? "Copied" : "Could not copy");
}
