/** Markup lives in the Django templates; here it is cloned and found. */

/** A new element from `<template id=…>`. */
export function clone(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

export function part(root, name) {
  return root.querySelector(`[data-part="${name}"]`);
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setHidden(element, isHidden) {
  if (element.hidden !== isHidden) element.hidden = isHidden;
}

/**
 * Makes `list` show exactly `entries`, in order, reusing elements by key. make(entry) and draw(element, entry). With
 * homeOf(entry) they are shown in several lists: each in its own, in order too.
 */
export function reconcile(list, entries, { key, make, draw, elements, homeOf = () => list }) {
  const wanted = new Set(entries.map(key));
  for (const [id, element] of elements) {
    if (wanted.has(id)) continue;
    element.remove();
    elements.delete(id);
  }
  let home = null;
  let next = null;
  for (const entry of entries) {
    if (homeOf(entry) !== home) next = (home = homeOf(entry)).firstElementChild;
    const id = key(entry);
    let element = elements.get(id);
    if (!element) elements.set(id, (element = make(entry)));
    if (element === next) next = next.nextElementSibling;
    else home.insertBefore(element, next);
    draw(element, entry);
  }
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyOld(text);
  }
}

/** Plain-http addresses other than localhost have no clipboard API. */
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

/** Shows for a moment that a button's work was done. */
export function flash(button, text) {
  const label = button.getAttribute("aria-label");
  button.classList.add("is-done");
  button.setAttribute("aria-label", text);
  setTimeout(() => {
    button.classList.remove("is-done");
    if (label) button.setAttribute("aria-label", label);
    else button.removeAttribute("aria-label");
  }, 1600);
}
