// @ts-check
/**
 * What one browser knows of one session, and how each event changes it. Pure: no DOM, no clock, no network.
 *
 * `apply(state, event)` returns the next state (the same object if nothing changed). A message's object is replaced when, and
 * only when, something about it changed: views compare by identity.
 */

import { merged, newer, order } from "./merging.js";
import { questionOf } from "./selectors.js";
import { headsIn, rowOf } from "./thread.js";
import { delta, reasoningDelta, reset, toolCalls, toolStatus, turnStatus } from "./writing.js";

/** @import { Attachment, Frame, MessageFrame, ParticipantFrame, ParticipantGone, Snapshot, Summary, ToldMessage, ToldParticipant, ToldSession, Typing, UserId, You } from "parley/frames" */
/** @import { Held } from "./merging.js" */

/**
 * A message on its way to the server.
 * @typedef {object} Sending
 * @property {string} client_id
 * @property {string} content
 * @property {"queue" | "steer" | "interrupt" | null} [when] what it does while an answer is written, if not what the session says
 * @property {Attachment[]} attachments
 * @property {number} created_at in ms
 */

/** @typedef {Sending & { status: "sending" | "failed", detail: string | null, retryable: boolean }} Unsent */

/**
 * @typedef {object} State
 * @property {ToldSession | null} session
 * @property {You | null} you
 * @property {ToldParticipant[]} participants
 * @property {UserId[]} online
 * @property {number} readers how many read along by the session's link
 * @property {boolean} shared whether there is such a link
 * @property {Record<UserId, { name: string, until: number }>} typing by user id
 * @property {Held[]} messages by position, then id
 * @property {Summary[]} summaries what models are told in the place of older messages, by the position up to which each stands
 * @property {boolean} hasMore older ones than these exist
 * @property {string[]} gaps ids of messages behind which some are not loaded: one has jumped to an old one
 * @property {Record<string, string>} chosen the `of` of an entry -> the id of the version that is shown, if not the newest
 * @property {Unsent[]} outbox
 * @property {"connecting" | "open" | "reconnecting" | "offline" | "gone"} connection
 * @property {number | null} closed why it is gone: the close code
 * @property {number | null} lostAt since when it is not open, in ms
 * @property {boolean} ready the first snapshot was drawn
 * @property {boolean} stale something was missed: a sync is needed
 * @property {string[]} elsewhere ids of answers that are written in a part of the history which isn't loaded
 */

/**
 * What happens on the page itself.
 * @typedef {{ type: "connection", status: State["connection"], code?: number }
 *   | { type: "ui.sending" } & Omit<Sending, "created_at">
 *   | { type: "ui.unsent", client_id: string, detail: string, retryable: boolean }
 *   | { type: "ui.sent", client_id: string, message: ToldMessage, reply: ToldMessage | null }
 *   | { type: "ui.discarded", client_id: string }
 *   | { type: "ui.changed", message: ToldMessage | Held }
 *   | { type: "ui.version", question: string, reply: string }
 *   | { type: "ui.anew", messages: (ToldMessage | Held | null)[] }
 *   | { type: "ui.reveal", id: string }
 *   | { type: "ui.page" } & Page
 *   | { type: "ui.older", messages: ToldMessage[], has_more: boolean }} PageEvent
 */

/**
 * A run of messages from anywhere in the history, as the API answers, and `after` or `before`, the message that it joins on to.
 * @typedef {{ messages: ToldMessage[], has_more: boolean, has_newer: boolean, after?: string, before?: string }} Page
 */

/**
 * What the server tells (docs/events.md), or what happens on the page.
 * @typedef {Frame | PageEvent} StateEvent
 */

/**
 * `at` is the moment of its arrival, in ms.
 * @template {{ type: string }} [E=StateEvent]
 * @typedef {E & { at: number }} Timed
 */

/** @type {State} */
export const empty = {
  session: null,
  you: null,
  participants: [],
  online: [],
  readers: 0,
  shared: false,
  typing: {},
  messages: [],
  summaries: [],
  hasMore: false,
  gaps: [],
  chosen: {},
  outbox: [],
  connection: "connecting",
  closed: null,
  lostAt: null,
  ready: false,
  stale: false,
  elsewhere: [],
};

const TYPING_MS = 6000;

/**
 * @param {State} state
 * @param {Timed} event
 * @returns {State}
 */
export function apply(state, event) {
  if (!Object.hasOwn(steps, event.type)) return state;
  const step = /** @type {(state: State, event: Timed) => State} */ (steps[event.type]);
  return step(state, event);
}

/** @type {{ [T in StateEvent["type"]]?: (state: State, event: Timed<Extract<StateEvent, { type: T }>>) => State }} */
const steps = {
  "session.snapshot": snapshot,
  "message.created": upsert,
  "message.updated": upsert,
  "message.delta": delta,
  "message.reasoning_delta": reasoningDelta,
  "message.reset": reset,
  "message.tool_calls": toolCalls,
  "message.tool_status": toolStatus,
  "message.turn_status": turnStatus,
  "summary.created": (state, { summary }) => ({ ...state, summaries: inPlace([...state.summaries, summary]) }),
  "session.updated": (state, { session }) =>
    session && !(state.session && session.version < state.session.version)
      ? { ...state, session: { ...state.session, ...session, role: session.role ?? state.session?.role ?? null } }
      : state,
  "participant.joined": participant,
  "participant.updated": participant,
  "participant.left": participantGone,
  "participant.removed": participantGone,
  presence: (state, { online, readers }) => ({ ...state, online: online ?? [], readers: readers ?? 0 }),
  "session.shared": (state, { shared }) => ({ ...state, shared }),
  typing,
  connection: (state, { status, code, at }) =>
    state.connection === status
      ? state
      : { ...state, connection: status, closed: code ?? null, lostAt: status === "open" ? null : (state.lostAt ?? at) },

  "ui.sending": (state, { client_id, content, when, attachments, at }) => ({
    ...state,
    outbox: [
      ...state.outbox.filter((entry) => entry.client_id !== client_id),
      {
        client_id, content, when: when ?? null, attachments: attachments ?? [], created_at: at,
        status: "sending", detail: null, retryable: false,
      },
    ],
  }),
  "ui.unsent": (state, { client_id, detail, retryable }) => ({
    ...state,
    outbox: state.outbox.map((entry) =>
      entry.client_id === client_id ? { ...entry, status: "failed", detail, retryable: Boolean(retryable) } : entry,
    ),
  }),
  "ui.sent": (state, { client_id, message, reply, at }) => {
    const outbox = state.outbox.filter((entry) => entry.client_id !== client_id);
    return merged({ ...state, outbox }, [message, reply], at);
  },
  "ui.discarded": (state, { client_id }) => ({
    ...state,
    outbox: state.outbox.filter((entry) => entry.client_id !== client_id),
  }),
  "ui.changed": (state, { message, at }) => merged(state, [message], at),
  "ui.version": (state, { question, reply }) => ({ ...state, chosen: { ...state.chosen, [question]: reply } }),
  "ui.anew": (state, { messages, at }) => merged(state, messages, at),
  "ui.reveal": reveal,
  "ui.page": page,
  "ui.older": (state, { messages, has_more, at }) => ({ ...merged(state, messages, at), hasMore: has_more }),
};

// --- messages ---

/**
 * @param {State} state
 * @param {Timed<Snapshot>} frame
 * @returns {State}
 */
function snapshot(state, frame) {
  const { at } = frame;
  const incoming = frame.messages ?? [];
  const known = new Map(state.messages.map((message) => [message.id, message]));
  /** @type {Held[]} */
  let kept = [];
  let hasMore = Boolean(frame.has_more);
  if (hasMore && incoming.some((message) => known.has(message.id))) {
    // History that was loaded before stays, as long as no gap opened between it and the snapshot.
    const first = incoming.reduce((a, b) => (order(a, b) < 0 ? a : b));
    kept = state.messages.filter((message) => order(message, first) < 0);
    if (kept.length) hasMore = state.hasMore;
  }
  const messages = [...kept, ...incoming.map((message) => newer(known.get(message.id), message, at))].sort(order);
  const before = new Set(kept.map(({ id }) => id));
  return {
    ...state,
    gaps: state.gaps.filter((id) => before.has(id)),
    session: frame.session ?? state.session,
    you: frame.you ?? state.you,
    participants: frame.participants ?? [],
    online: frame.online ?? [],
    readers: frame.readers ?? 0,
    shared: Boolean(frame.shared),
    messages,
    hasMore,
    summaries: inPlace(frame.summaries ?? []),
    outbox: unanswered(state.outbox, messages, frame.you ?? state.you),
    ready: true,
    stale: false,
  };
}

/**
 * @param {State} state
 * @param {Timed<MessageFrame>} frame
 * @returns {State}
 */
function upsert(state, { type, message, at }) {
  if (!message) return state;
  const next = merged(state, [message], at);
  if (next === state || type !== "message.created") return next;
  return {
    ...next,
    outbox: unanswered(next.outbox, [message], next.you),
    typing: message.author ? without(next.typing, message.author.id) : next.typing,
    // A new version of an answer is what everyone wants to see.
    chosen: message.reply_to ? without(next.chosen, message.reply_to) : next.chosen,
  };
}

/**
 * What stands between a page and the rest is a gap until it is loaded as well.
 * @param {State} state
 * @param {Timed<Page & { type: "ui.page" }>} event
 * @returns {State}
 */
function page(state, { messages: run, has_more, has_newer, after, before, at }) {
  const inside = new Set(run.map(({ id }) => id));
  const last = run.at(-1);
  const isJoined = !last || before || state.messages.some(({ id }) => id === last.id);
  const gaps = state.gaps.filter((id) => id !== after && (!inside.has(id) || (id === last?.id && !before && has_newer)));
  if (!isJoined && has_newer) gaps.push(last.id);
  const [first] = state.messages;
  const isOldest = run[0] && (!first || order(run[0], first) <= 0);
  return { ...merged(state, run, at), gaps, hasMore: isOldest ? has_more : state.hasMore };
}

/**
 * Chooses the versions in which a message is to be seen.
 * @param {State} state
 * @param {{ id: string }} event
 * @returns {State}
 */
function reveal(state, { id }) {
  const message = state.messages.find((each) => each.id === id);
  if (!message) return state;
  const question = message.role === "user" ? message : questionOf(state, message);
  const chosen = { ...state.chosen };
  const head = question && headsIn(state.messages).get(question.id);
  if (head) chosen[rowOf(head)] = question.id;
  if (message.reply_to) chosen[message.reply_to] = message.id;
  return { ...state, chosen };
}

/**
 * Each summary once, in order.
 * @param {Summary[]} summaries
 */
function inPlace(summaries) {
  const each = new Map(summaries.map((summary) => [summary.id, summary]));
  return [...each.values()].sort((a, b) => a.until_position - b.until_position);
}

/**
 * The outbox without what has arrived. Falls back to the text where a server doesn't tell the client_id.
 * @param {Unsent[]} outbox
 * @param {Pick<ToldMessage, "role" | "author" | "client_id" | "content" | "created_at">[]} messages
 * @param {You | null} you
 */
function unanswered(outbox, messages, you) {
  if (!outbox.length) return outbox;
  const mine = messages.filter((message) => message.role === "user" && message.author?.id === you?.id);
  return outbox.filter(
    (entry) =>
      !mine.some((message) =>
        message.client_id
          ? message.client_id === entry.client_id
          : message.content.trim() === entry.content.trim() && Date.parse(message.created_at) >= entry.created_at - 60_000,
      ),
  );
}

// --- people ---

/**
 * @param {State} state
 * @param {ParticipantFrame} frame
 * @returns {State}
 */
function participant(state, { participant: person }) {
  if (!person) return state;
  const others = state.participants.filter((other) => other.id !== person.id);
  const isYou = state.you?.id === person.id;
  return {
    ...state,
    participants: [...others, person],
    you: isYou ? { ...state.you, ...person } : state.you,
    session: isYou && state.session ? { ...state.session, role: person.role } : state.session,
  };
}

/**
 * @param {State} state
 * @param {ParticipantGone} frame
 * @returns {State}
 */
function participantGone(state, { participant: gone }) {
  return { ...state, participants: state.participants.filter((person) => person.id !== gone?.id) };
}

/**
 * @param {State} state
 * @param {Timed<Typing>} frame
 * @returns {State}
 */
function typing(state, { user, active, at }) {
  if (!user || user.id === state.you?.id) return state;
  const others = without(state.typing, user.id);
  return { ...state, typing: active ? { ...others, [user.id]: { name: user.name, until: at + TYPING_MS } } : others };
}

/**
 * The record without what it has under `key`.
 * @template T
 * @param {Record<string | number, T>} record
 * @param {string | number} key
 */
function without(record, key) {
  if (!(key in record)) return record;
  const { [key]: _, ...others } = record;
  return others;
}
