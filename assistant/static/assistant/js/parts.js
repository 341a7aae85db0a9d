// @ts-check
/**
 * Markup lives in the Django templates; here it is cloned and found. What there is to find, and which element it is, the
 * types are told by the templates themselves (project/page_types.py): a name that is in none of them is a type error.
 */

/** @import { Fields, Ids, Marks, Parts, Templates } from "parley/markup" */

/** By selector: the marks of the templates, and tags. @typedef {Marks & HTMLElementTagNameMap} Found */

/**
 * A new element from `<template id=…>`.
 * @template {keyof Templates} K
 * @param {K} id
 * @returns {Templates[K]}
 */
export function clone(id) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById(id));
  return /** @type {Templates[K]} */ (template.content.firstElementChild?.cloneNode(true));
}

/**
 * The element of `root` with this `data-part`, which is there by its template.
 * @template {keyof Parts} K
 * @template {Parts[K]} [T=Parts[K]] where several kinds of elements have that name: which
 * @param {ParentNode} root
 * @param {K} name
 * @returns {T}
 */
export function part(root, name) {
  return /** @type {T} */ (root.querySelector(`[data-part="${name}"]`));
}

/**
 * The first element in `root` that fits, by a mark or by its tag: one without which the page can't work.
 * @template {keyof Found} K
 * @param {ParentNode} root
 * @param {K} selector
 * @returns {Found[K]}
 */
export function one(root, selector) {
  const found = root.querySelector(selector);
  if (!found) throw new Error(`There is no ${selector}.`);
  return /** @type {Found[K]} */ (found);
}

/**
 * The element of the page with this id.
 * @template {keyof Ids} K
 * @param {K} id
 * @returns {Ids[K]}
 */
export function byId(id) {
  return /** @type {Ids[K]} */ (document.getElementById(id));
}

/**
 * The field of a form with this name; of a group of boxes or buttons one with the value of what is chosen.
 * @template {keyof Fields} K
 * @param {HTMLFormElement} form
 * @param {K} name
 * @returns {Fields[K]}
 */
export function fieldOf(form, name) {
  return /** @type {Fields[K]} */ (form.elements.namedItem(name));
}

/**
 * Of the element where something happened the nearest around it, or itself, that fits; null: none does.
 * @template {string} S
 * @template {HTMLElement} [T=S extends keyof Found ? Found[S] : HTMLElement]
 * @param {globalThis.Event} event
 * @param {S} selector
 * @returns {T | null}
 */
export function near({ target }, selector) {
  return target instanceof Element ? target.closest(selector) : null;
}

/**
 * @param {Node} element
 * @param {string | null} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {HTMLElement} element
 * @param {boolean} isHidden
 */
export function setHidden(element, isHidden) {
  if (element.hidden !== isHidden) element.hidden = isHidden;
}
