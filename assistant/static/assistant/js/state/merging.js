// @ts-check
/** How what arrives of a message is merged with what is held of it, and the messages with each other. Pure. */

import { isOpen } from "./selectors.js";
import { newerReasoning } from "./thinking.js";

/** @import { ToldMessage } from "parley/frames" */
/** @import { State } from "./reducer.js" */
/** @import { Thoughts } from "./thinking.js" */

/**
 * A message as the page holds it: what was told last, and beside that
 * - `newsAt`: when something about it was news, in ms;
 * - `waitsFor`: a sentence about what the answer is waiting for;
 * - `toolTexts`: what running tools say about themselves, by the id of the call;
 * - `callsVersion`: the version of its tool calls, where they came apart from it.
 * @typedef {Omit<ToldMessage, "reasoning"> & {
 *   reasoning?: Thoughts | null, newsAt: number, waitsFor?: string | null,
 *   toolTexts?: Record<string, string>, callsVersion?: number, outbox?: undefined,
 * }} Held
 */

const NEWS = /** @type {const} */ (["version", "attempt", "seq"]);
const SAME = /** @type {const} */ ([...NEWS, "status", "alive"]);

/**
 * What is now known of a message of which `held` was known and `told` has arrived; `held` itself if that is no news.
 * @param {Held | undefined} held
 * @param {ToldMessage | Held} told
 * @param {number} at
 * @returns {Held}
 */
export function newer(held, told, at) {
  if (!held) return withReasoning(null, { ...told, newsAt: at }, at);
  if ((told.version ?? 0) < (held.version ?? 0)) return held;
  /** @type {Held} */
  let incoming = { ...told, newsAt: held.newsAt };
  let lags = false;
  if (held.callsVersion && held.callsVersion > told.version) {
    incoming = { ...incoming, tool_calls: held.tool_calls, callsVersion: held.callsVersion };
  }
  if (isOpen(incoming)) {
    if (incoming.attempt < held.attempt) return held;
    lags = incoming.attempt === held.attempt && (incoming.seq ?? 0) < (held.seq ?? 0);
    if (lags) {
      // The stored text lags behind the live one.
      const { seq, content, html } = held;
      incoming = { ...incoming, seq, content, html };
    }
    incoming = withReasoning(held, incoming, at);
  }
  const isSame = SAME.every((name) => incoming[name] === held[name]);
  const isSameThought = incoming.reasoning?.seq === held.reasoning?.seq;
  if (isSame && isSameThought && incoming.content === held.content) return held;
  const isNews = !lags && NEWS.some((name) => incoming[name] !== held[name]);
  return isNews || !isSameThought ? { ...incoming, newsAt: at } : incoming;
}

/**
 * @param {Held | null} held
 * @param {Held} incoming
 * @param {number} at
 */
function withReasoning(held, incoming, at) {
  const reasoning = newerReasoning(held, incoming, at);
  return reasoning === (incoming.reasoning ?? null) ? incoming : { ...incoming, reasoning };
}

/**
 * The state with these messages in it, each merged with what was held; the same state if none of them is news.
 * @param {State} state
 * @param {(ToldMessage | Held | null)[]} told
 * @param {number} at
 * @returns {State}
 */
export function merged(state, told, at) {
  const { messages } = state;
  const places = told.length > 2 ? new Map(messages.map(({ id }, index) => [id, index])) : null;
  const copy = messages.slice();
  let isChanged = false;
  let isMoved = false;
  for (const message of told) {
    if (!message) continue;
    const index = places ? (places.get(message.id) ?? -1) : indexOf(copy, message.id);
    const held = copy[index];
    const next = newer(held, message, at);
    if (next === held) continue;
    isChanged = true;
    isMoved ||= next.position !== held?.position;
    if (index < 0) places?.set(message.id, copy.length);
    copy[index < 0 ? copy.length : index] = next;
  }
  if (isMoved) copy.sort(order);
  return isChanged ? { ...state, messages: copy } : state;
}

/**
 * The state with this message at `index`.
 * @param {State} state
 * @param {number} index
 * @param {Held} message
 * @returns {State}
 */
export function replaced(state, index, message) {
  const messages = state.messages.slice();
  messages[index] = message;
  return { ...state, messages };
}

/**
 * The place of the message with this id, or -1.
 * @param {Held[]} messages
 * @param {string} id
 */
export function indexOf(messages, id) {
  return messages.findLastIndex((message) => message.id === id); // what changes is near the end
}

/**
 * Compares two messages: they stand by position, then id.
 * @param {Pick<Held, "position" | "id">} a
 * @param {Pick<Held, "position" | "id">} b
 */
export function order(a, b) {
  return a.position - b.position || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}
