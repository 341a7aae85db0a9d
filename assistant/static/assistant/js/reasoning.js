// @ts-check
/**
 * What a model thinks, above its answer: one line while it thinks, folded up once there are words, and all of it for those
 * who unfold it. Plain text, put into the page only where it is unfolded, and only what is new of it: it may be long.
 */

import { clone, one, part, setHidden, setText } from "./parts.js";
import { cutAt, newestLine, thinksOnly, thoughtFor } from "./state/thinking.js";
import { span } from "./times.js";

/** @import { Shown } from "./message.js" */
/** @import { Thoughts } from "./state/thinking.js" */

/** What of a text stands in the page. @typedef {{ text: string, held: number, isAtEnd: boolean }} Unfolded */

const NEAR_PX = 8;
const SHORTEST_TOLD_MS = 500;

const number = new Intl.NumberFormat("en");
/** @type {WeakMap<HTMLElement, Unfolded>} */
const unfolded = new WeakMap(); // by the place of the text; `held` characters stand in its last chunk
/** @type {WeakMap<HTMLElement, Thoughts>} */
const told = new WeakMap(); // details -> the reasoning to show

/**
 * Draws what `message` has of it into `details`. Cheap, for it is called each second and at each piece.
 * @param {HTMLDetailsElement} details
 * @param {Shown} message
 * @param {{ now: number, isCutOff: boolean }} context
 */
export function drawReasoning(details, message, { now, isCutOff }) {
  const { reasoning } = message;
  setHidden(details, !reasoning?.content?.trim());
  if (details.hidden || !reasoning) return;
  if (!told.has(details)) listen(details);
  told.set(details, reasoning);
  const isLive = thinksOnly(message);
  const ms = thoughtFor(reasoning, now);
  details.classList.toggle("is-live", isLive && !isCutOff);
  const past = ms === null || ms < SHORTEST_TOLD_MS ? "Thought for a moment" : `Thought for ${span(ms)}`;
  setText(part(details, "reasoning-title"), isLive ? "Thinking" : past);
  // Neither is read out as it changes: that it thinks has been said (announcer.js), and its end will be.
  setText(part(details, "reasoning-time"), isLive && !isCutOff && ms !== null ? `, ${span(ms)}` : "");
  setText(part(details, "reasoning-newest"), isLive ? newestLine(reasoning.content) : "");
  setText(part(details, "reasoning-tokens"), reasoning.tokens ? `${number.format(reasoning.tokens)} tokens` : "");
  if (details.open) unfold(details);
}

/** @param {HTMLDetailsElement} details */
function listen(details) {
  const place = part(details, "reasoning-text");
  // Before it opens, or it would be drawn empty first.
  one(details, "summary").addEventListener("click", () => details.open || unfold(details));
  details.addEventListener("toggle", () => details.open && unfold(details));
  place.addEventListener("scroll", () => {
    const shown = unfolded.get(place);
    if (shown) shown.isAtEnd = place.scrollHeight - place.clientHeight - place.scrollTop < NEAR_PX;
  }, { passive: true });
}

/** @param {HTMLDetailsElement} details */
function unfold(details) {
  const place = part(details, "reasoning-text");
  const content = told.get(details)?.content ?? "";
  let shown = unfolded.get(place);
  if (!shown || !content.startsWith(shown.text)) {
    place.replaceChildren(clone("reasoning-chunk-template"));
    unfolded.set(place, (shown = { text: "", held: 0, isAtEnd: details.classList.contains("is-live") }));
  }
  let rest = content.slice(shown.text.length);
  let cut = cutAt(rest, shown.held, shown.text.at(-1));
  for (; cut < rest.length; cut = cutAt(rest, 0)) {
    put(place, rest.slice(0, cut));
    place.append(clone("reasoning-chunk-template"));
    rest = rest.slice(cut);
    shown.held = 0;
  }
  put(place, rest);
  shown.held += rest.length;
  shown.text = content;
  if (shown.isAtEnd) place.scrollTop = place.scrollHeight;
}

/**
 * Puts a text behind what its last chunk has.
 * @param {HTMLElement} place
 * @param {string} text
 */
function put(place, text) {
  const chunk = place.lastElementChild;
  if (chunk?.firstChild instanceof Text) chunk.firstChild.appendData(text);
  else chunk?.append(text);
}
