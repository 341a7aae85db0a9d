// @ts-check
/** Where what an answer says comes from: links below it, by number, the first few at once. */

import { clone, one, part, setHidden, setText } from "./parts.js";

/** @import { Source } from "parley/api" */

const FIRST = 5;

/** @type {WeakMap<Element, Source[]>} */
const drawn = new WeakMap(); // element -> the sources that it shows

/**
 * Draws `sources` into `element`; cheap where they are the same as before.
 * @param {HTMLElement} element
 * @param {Source[]} sources
 */
export function drawSources(element, sources) {
  setHidden(element, !sources.length);
  if (drawn.get(element) === sources) return;
  drawn.set(element, sources);
  const rest = sources.length > FIRST + 1 ? sources.slice(FIRST) : [];
  part(element, "first-sources").replaceChildren(...sources.slice(0, sources.length - rest.length).map(link));
  part(element, "other-sources").replaceChildren(...rest.map(link));
  setHidden(part(element, "more-sources"), !rest.length);
  setText(part(element, "more-sources-label"), `${rest.length} more`);
  part(element, "other-sources").start = FIRST + 1;
}

/** @param {Source} source */
function link({ url, title }) {
  const element = clone("source-template");
  const anchor = one(element, "a");
  const host = hostOf(url);
  if (host) anchor.href = url;
  setText(anchor, title || host || url);
  setText(part(element, "host"), title ? host : "");
  return element;
}

/**
 * The name of the site, or "" of what is no address in the web.
 * @param {string} url
 */
export function hostOf(url) {
  try {
    const { protocol, hostname } = new URL(url);
    return protocol === "https:" || protocol === "http:" ? hostname.replace(/^www\./, "") : "";
  } catch {
    return "";
  }
}
