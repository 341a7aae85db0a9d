// @ts-check
/** What a model thinks on its way to an answer, as `reducer.js` keeps it in a message. Pure. */

/** @import { Reasoning, ReasoningDelta } from "parley/frames" */
/** @import { Held } from "./merging.js" */

/**
 * What the server tells, of a running answer with the `seq` of its last delta. To that comes `since`: the moment (ms) from
 * which on it has been thinking what `seconds` doesn't count yet, or nothing, if it isn't thinking now.
 * @typedef {Omit<Reasoning, "seconds"> & { seconds: number | null, since?: number }} Thoughts
 */

const LONGEST_LINE = 90; // characters: about what a line of the page holds
const STEP = 45;

/**
 * `reasoning` with the next delta of it. Its `seconds` count where a stretch of thinking begins; then our own clock does.
 * @param {Thoughts | null | undefined} reasoning
 * @param {ReasoningDelta & { at: number }} delta
 * @returns {Thoughts}
 */
export function grown(reasoning, { text, seq, seconds: told, at }) {
  const { content = "", seconds = null, tokens = null, since } = reasoning ?? {};
  return { content: content + text, seconds: since ? seconds : (told ?? seconds), tokens, seq, since: since ?? at };
}

/**
 * `reasoning` once something else has come: words, a call, an end.
 * @template {Thoughts | null | undefined} T
 * @param {T} reasoning
 * @param {number} at
 * @returns {T | Thoughts}
 */
export function paused(reasoning, at) {
  if (!reasoning?.since) return reasoning;
  const { since, ...rest } = reasoning;
  return { ...rest, seconds: (rest.seconds ?? 0) + Math.max(0, at - since) / 1000 };
}

/**
 * The reasoning of `incoming`, of which `held` (if there is one) is known. An end tells it whole.
 * @param {Held | null} held
 * @param {Pick<Held, "status" | "reasoning" | "attempt" | "content" | "tool_calls">} incoming
 * @param {number} at
 * @returns {Thoughts | null}
 */
export function newerReasoning(held, incoming, at) {
  const { status, reasoning: told = null } = incoming;
  if (status !== "processing" && status !== "pending") return told;
  const known = held?.attempt === incoming.attempt ? held.reasoning : null;
  const reasoning = known && (told?.seq ?? 0) <= (known.seq ?? 0) ? known : told;
  if (status === "pending") return paused(reasoning, at);
  // Nothing but thoughts so far: it is at it, as far as one can tell.
  const isAtIt = reasoning?.content && !incoming.content && !incoming.tool_calls?.length;
  return isAtIt && !reasoning.since ? { ...reasoning, since: at } : reasoning;
}

/** @param {{ status: string, reasoning?: Thoughts | null }} message */
export function isThinking(message) {
  return message.status === "processing" && Boolean(message.reasoning?.since);
}

/**
 * Whether nothing of the answer has come yet but what the model thinks.
 * @param {{ status: string, reasoning?: Thoughts | null, content: string, tool_calls?: unknown[] }} message
 */
export function thinksOnly(message) {
  return isThinking(message) && !message.content.trim() && !message.tool_calls?.length;
}

/**
 * For how long it has thought, in ms, or null: nobody has counted.
 * @param {Pick<Thoughts, "seconds" | "since">} thoughts
 * @param {number} now
 */
export function thoughtFor({ seconds, since }, now) {
  if (!since && (seconds ?? null) === null) return null;
  return (seconds ?? 0) * 1000 + (since ? Math.max(0, now - since) : 0);
}

/**
 * The newest line with something in it, without marks of Markdown. Of a line that is long its newest part: the beginning of
 * that stays for a while and moves on by whole words, for nobody reads what moves with each letter.
 * @param {string} content
 */
export function newestLine(content) {
  const end = content.trimEnd().length;
  let from = content.lastIndexOf("\n", end - 1) + 1;
  const isLong = end - from > LONGEST_LINE;
  if (isLong) {
    from += Math.ceil((end - from - LONGEST_LINE) / STEP) * STEP;
    const word = content.indexOf(" ", from);
    if (word >= 0 && word - from < STEP / 2) from = word + 1;
  }
  const line = content.slice(from, end).replace(/^[\s>#*+-]+/, "").replace(/\*\*|__|\x60/g, "");
  return isLong ? `… ${line}` : line;
}

const CHUNK = 4_000; // characters
const LONGEST_CHUNK = 4 * CHUNK;

/**
 * Where to cut `text`, the next of what is drawn in chunks, where the last one has `held` characters and ends with `end`: the
 * part before goes into it, the rest into another one. A browser lays out anew the whole of a chunk that grows. Lines stay
 * whole unless one is longer than any chunk; characters always.
 * @param {string} text
 * @param {number} held
 * @param {string} [end]
 */
export function cutAt(text, held, end = "") {
  if (held >= CHUNK && end === "\n") return 0;
  if (held + text.length <= CHUNK) return text.length;
  const line = text.indexOf("\n", Math.max(0, CHUNK - held - 1));
  if (line >= 0 && held + line < LONGEST_CHUNK) return line + 1;
  if (held + text.length <= LONGEST_CHUNK) return text.length;
  const most = LONGEST_CHUNK - held;
  const word = text.lastIndexOf(" ", most - 1) + 1;
  if (word) return word;
  const isInside = most > 0 && text.charCodeAt(most) >= 0xdc00 && text.charCodeAt(most) <= 0xdfff;
  return isInside ? most - 1 : most;
}
