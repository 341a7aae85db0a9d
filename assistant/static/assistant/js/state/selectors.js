// @ts-check
/** What the state says: who may do what, what runs, what waits. Each asks and changes nothing. Pure. */

/** @import { ToldCall, UserId } from "parley/frames" */
/** @import { Held } from "./merging.js" */
/** @import { State } from "./reducer.js" */

export const BREAK_MS = 1_200; // shorter breaks of the connection are nobody's business

// --- of one message ---

/** @param {{ status: string }} message */
export function isOpen(message) {
  return message.status === "pending" || message.status === "processing";
}

/**
 * Tool calls that somebody has to allow or deny.
 * @param {{ status: string, tool_calls?: ToldCall[] }} message
 */
export function askedCalls(message) {
  if (!isOpen(message)) return [];
  return (message.tool_calls ?? []).filter((call) => call.status === "pending" && call.approval === "asked");
}

/**
 * Tool calls that go on once somebody has filled in their form.
 * @param {{ status: string, tool_calls?: ToldCall[] }} message
 */
export function formCalls(message) {
  if (!isOpen(message)) return [];
  return (message.tool_calls ?? []).filter((call) => call.status === "running" && call.form && !call.form.action);
}

// --- the conversation ---

/**
 * The messages that joined an answer while it was being written, in order. Only one with tools has any.
 * @param {State} state
 * @param {{ id: string, tool_calls?: ToldCall[] }} answer
 */
export function joinedIn(state, answer) {
  return answer.tool_calls?.length ? state.messages.filter((message) => message.taken_by === answer.id) : [];
}

/**
 * @param {State} state
 * @param {Held} reply
 */
export function questionOf(state, reply) {
  return state.messages.find((message) => message.id === reply.reply_to) ?? null;
}

/**
 * The message behind a gap.
 * @param {State} state
 * @param {string} id of the one before
 */
export function afterGap(state, id) {
  return state.messages[state.messages.findIndex((message) => message.id === id) + 1] ?? null;
}

/**
 * The id of the message before which older ones are to be loaded. (A new version of an old answer has no part in it.)
 * @param {State} state
 */
export function oldest(state) {
  return (state.messages.find((message) => message.role === "user") ?? state.messages[0])?.id ?? null;
}

/**
 * The answer that is being waited for or written, or null. A session has at most one.
 * @param {State} state
 */
export function running(state) {
  return state.messages.findLast((message) => message.role === "assistant" && isOpen(message)) ?? null;
}

// --- the queue ---

/** @param {State} state */
export function queued(state) {
  return state.messages.filter((message) => message.role === "user" && message.status === "pending");
}

/**
 * The id before which a waiting message goes to move by -1 or 1; null: to the end; undefined: it can't.
 * @param {State} state
 * @param {{ id: string }} message
 * @param {-1 | 1} by
 */
export function placeBefore(state, message, by) {
  const waiting = queued(state);
  const index = waiting.findIndex(({ id }) => id === message.id);
  if (index < 0 || !waiting[index + by]) return undefined;
  return (by < 0 ? waiting[index - 1] : waiting[index + 2])?.id ?? null;
}

/**
 * Whether a question that is sent now would have to wait.
 * @param {State} state
 * @param {number} now in ms
 */
export function isBusy(state, now) {
  return Boolean(running(state)) || queued(state).length > 0 || Date.parse(state.session?.queue_paused_until ?? "") > now;
}

/**
 * Seconds for which the queue still rests after a failed answer; 0 if it doesn't.
 * @param {State} state
 * @param {number} now in ms
 */
export function pausedFor(state, now) {
  const until = Date.parse(state.session?.queue_paused_until ?? "");
  return until > now && !running(state) && queued(state).length ? Math.ceil((until - now) / 1000) : 0;
}

// --- who may do what ---

/** @param {State} state */
export function mayWrite(state) {
  return state.you?.role !== "viewer" && state.you?.role !== "reader";
}

/**
 * One's own, or any as the owner.
 * @param {State} state
 * @param {Pick<Held, "author">} message
 */
export function mayMove(state, message) {
  return mayWrite(state) && (message.author?.id === state.you?.id || state.you?.role === "owner");
}

/**
 * Whether this question can be asked anew: it is one's own, and nobody has said more.
 * @param {State} state
 * @param {Held} message
 */
export function mayResend(state, message) {
  if (message.role !== "user" || message.author?.id !== state.you?.id || !mayWrite(state) || message.taken_by) return false;
  const last = state.messages.findLast(({ role, status }) => role === "user" && status !== "cancelled");
  return last?.id === message.id && last.status === "success";
}

// --- the people, the line ---

/**
 * The names of those who are typing.
 * @param {State} state
 * @param {number} now in ms
 */
export function typists(state, now) {
  return Object.values(state.typing)
    .filter((typist) => typist.until > now)
    .map((typist) => typist.name);
}

/**
 * A person's colour, as a hue in degrees: also of one who has left, or of whom a reader by the link was not told yet.
 * @param {State} state
 * @param {UserId} userId
 */
export function hueOf(state, userId) {
  return state.participants.find((person) => person.id === userId)?.color ?? crc32(`hue-${userId}`) % 360;
}

/**
 * As the server reckons it (`hue`, assistant/models/participant.py).
 * @param {string} text
 */
function crc32(text) {
  let sum = -1;
  for (const byte of new TextEncoder().encode(text)) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

/**
 * Whether the page hears nothing at the moment, so that it can't know how an answer comes on.
 * @param {State} state
 * @param {number} now in ms
 */
export function isCutOff(state, now) {
  return state.lostAt !== null && now - state.lostAt >= BREAK_MS;
}
