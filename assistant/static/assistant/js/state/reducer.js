/**
 * What one browser knows of one session, and how each event changes it. Pure: no DOM, no clock, no network.
 *
 * `apply(state, event)` returns the next state (the same object if nothing changed). Events are the server's frames
 * (docs/events.md) with `at`, the moment of arrival in ms, and the page's own, named "ui.…" and "connection".
 * A message's object is replaced when, and only when, something about it changed: views compare by identity.
 */

import { grown, newerReasoning, paused } from "./thinking.js";

export const empty = {
  session: null,
  you: null,
  participants: [],
  online: [],
  readers: 0, // how many read along by the session's link
  shared: false, // whether there is such a link
  typing: {}, // user id -> {name, until}
  messages: [], // by position, then id
  summaries: [], // what models are told in the place of older messages, by the position up to which each stands
  hasMore: false, // older ones than these exist
  gaps: [], // ids of messages behind which some are not loaded: one has jumped to an old one
  chosen: {}, // the `of` of an entry -> the id of the version that is shown, if not the newest
  outbox: [], // {client_id, content, attachments, created_at, status: "sending"|"failed", detail, retryable}
  connection: "connecting", // connecting | open | reconnecting | offline | gone
  closed: null, // why it is gone: the close code
  lostAt: null, // since when it is not open, in ms
  ready: false, // the first snapshot was drawn
  stale: false, // something was missed: a sync is needed
  elsewhere: [], // ids of answers that are written in a part of the history which isn't loaded
};

const TYPING_MS = 6000;
export const BREAK_MS = 1_200; // shorter breaks of the connection are nobody's business
const STRETCH = 16; // positions

export function apply(state, event) {
  const step = Object.hasOwn(steps, event.type) ? steps[event.type] : null;
  return step ? step(state, event) : state;
}

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
    session && !(session.version < state.session?.version)
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

// --- frames ---

function snapshot(state, frame) {
  const { at } = frame;
  const incoming = frame.messages ?? [];
  const known = new Map(state.messages.map((message) => [message.id, message]));
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

function upsert(state, { type, message, at }) {
  if (!message) return state;
  let next = merged(state, [message], at);
  if (next === state) return state;
  if (type === "message.created") {
    next = { ...next, outbox: unanswered(next.outbox, [message], next.you) };
    if (message.author && next.typing[message.author.id]) {
      const { [message.author.id]: _, ...others } = next.typing;
      next.typing = others;
    }
    // A new version of an answer is what everyone wants to see.
    if (message.reply_to && next.chosen[message.reply_to]) {
      const { [message.reply_to]: _, ...others } = next.chosen;
      next.chosen = others;
    }
  }
  return next;
}

/**
 * A run of messages from anywhere in the history, as the API answers: {messages, has_more, has_newer}, and `after` or
 * `before`, the message that it joins on to. What stands between it and the rest is a gap until it is loaded as well.
 */
function page(state, { messages: run, has_more, has_newer, after, before, at }) {
  const inside = new Set(run.map(({ id }) => id));
  const last = run.at(-1);
  const isJoined = !last || before || state.messages.some(({ id }) => id === last.id);
  const gaps = state.gaps.filter((id) => id !== after && (!inside.has(id) || (id === last.id && !before && has_newer)));
  if (!isJoined && has_newer) gaps.push(last.id);
  const first = state.messages[0];
  const isOldest = run.length > 0 && (!first || order(run[0], first) <= 0);
  return { ...merged(state, run, at), gaps, hasMore: isOldest ? has_more : state.hasMore };
}

/** Chooses the versions in which a message is to be seen. */
function reveal(state, { id }) {
  const message = state.messages.find((each) => each.id === id);
  if (!message) return state;
  const question = message.role === "user" ? message : questionOf(state, message);
  const chosen = { ...state.chosen };
  const head = question && heads(state).get(question.id);
  if (head) chosen[rowOf(head)] = question.id;
  if (message.reply_to) chosen[message.reply_to] = message.id;
  return { ...state, chosen };
}

function delta(state, frame) {
  return taken(state, frame, (held) => held.seq, (held, isFirst) => ({
    ...held,
    seq: frame.seq,
    content: isFirst ? frame.text : held.content + frame.text,
    html: withBlocks(isFirst ? [] : (held.html ?? []), frame.blocks),
    reasoning: isFirst ? null : paused(held.reasoning, frame.at),
  }));
}

function reasoningDelta(state, frame) {
  return taken(state, frame, (held) => held.reasoning?.seq, (held, isFirst) => ({
    ...held,
    seq: isFirst ? 0 : held.seq,
    reasoning: grown(isFirst ? null : held.reasoning, frame),
  }));
}

/**
 * What a delta makes of the message it is about: seqOf(held) counts the deltas of its kind that are held,
 * change(held, isFirst) takes it in, `isFirst` if it begins an attempt. Held already, it changes nothing; behind a hole, or
 * in an attempt whose beginning was missed, it asks for a sync.
 */
function taken(state, frame, seqOf, change) {
  const index = indexOf(state.messages, frame.message_id);
  if (index < 0) return missed(state, frame.message_id);
  const held = state.messages[index];
  if (!isOpen(held) || frame.attempt < held.attempt) return state;
  const isFirst = frame.attempt > held.attempt;
  if (isFirst ? frame.seq !== 1 || held.content || held.reasoning?.content : frame.seq !== (seqOf(held) ?? 0) + 1) {
    const isOld = !isFirst && frame.seq <= (seqOf(held) ?? 0);
    return isOld || state.stale ? state : { ...state, stale: true };
  }
  const next = change(held, isFirst);
  return replaced(state, index, { ...next, status: "processing", attempt: frame.attempt, alive: true, waitsFor: null, newsAt: frame.at });
}

function reset(state, frame) {
  const index = indexOf(state.messages, frame.message_id);
  if (index < 0) return missed(state, frame.message_id);
  const held = state.messages[index];
  if (!isOpen(held) || frame.attempt < held.attempt) return state;
  const shown = (held.seq ?? 0) + (held.reasoning?.seq ?? 0);
  if (frame.attempt === held.attempt && frame.seq < shown) return state;
  const { attempt, seq, content, reasoning = null } = frame;
  return replaced(state, index, { ...held, attempt, seq, content, html: frame.html ?? [], reasoning, newsAt: frame.at });
}

/** The calls of an answer as they stand now. They come apart from the message, so their version is kept apart. */
function toolCalls(state, { message_id, version, tool_calls, at }) {
  const index = indexOf(state.messages, message_id);
  if (index < 0) return missed(state, message_id);
  const held = state.messages[index];
  if (version < (held.callsVersion ?? held.version ?? 0)) return state;
  const reasoning = paused(held.reasoning, at);
  return replaced(state, index, { ...held, tool_calls, reasoning, callsVersion: version, newsAt: at });
}

/** What a running tool says about itself. */
function toolStatus(state, { message_id, attempt, call_id, text, at }) {
  const index = indexOf(state.messages, message_id);
  const held = state.messages[index];
  if (!held || !isOpen(held) || attempt < held.attempt) return state;
  return replaced(state, index, { ...held, toolTexts: { ...held.toolTexts, [call_id]: text }, newsAt: at });
}

/** What an answer is waiting for; the next delta takes its place. */
function turnStatus(state, { message_id, attempt, text, at }) {
  const index = indexOf(state.messages, message_id);
  const held = state.messages[index];
  if (!held || !isOpen(held) || attempt < held.attempt) return state;
  return replaced(state, index, { ...held, waitsFor: text, newsAt: at });
}

/** Each summary once, in order. */
function inPlace(summaries) {
  const each = new Map(summaries.map((summary) => [summary.id, summary]));
  return [...each.values()].sort((a, b) => a.until_position - b.until_position);
}

function participant(state, frame) {
  const person = frame.participant;
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

function participantGone(state, frame) {
  const id = frame.participant?.id ?? frame.user_id;
  return { ...state, participants: state.participants.filter((person) => person.id !== id) };
}

function typing(state, { user, active, at }) {
  if (!user || user.id === state.you?.id) return state;
  const { [user.id]: _, ...others } = state.typing;
  return { ...state, typing: active ? { ...others, [user.id]: { name: user.name, until: at + TYPING_MS } } : others };
}

// --- parts of them ---

/** A frame about an unknown message: a sync may bring it. If it doesn't, the message is older than what is loaded. */
function missed(state, id) {
  return state.elsewhere.includes(id) ? state : { ...state, stale: true, elsewhere: [...state.elsewhere, id] };
}

/** What is now known of a message of which `held` was known and `incoming` arrived. */
function newer(held, incoming, at) {
  if (!held) return { ...withReasoning(null, incoming, at), newsAt: at };
  if ((incoming.version ?? 0) < (held.version ?? 0)) return held;
  let lags = false;
  if (held.callsVersion > incoming.version) {
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
  const isSame = ["version", "attempt", "seq", "status", "alive"].every((name) => incoming[name] === held[name]);
  const isSameThought = incoming.reasoning?.seq === held.reasoning?.seq;
  if (isSame && isSameThought && incoming.content === held.content) return held;
  const isNews = !lags && ["version", "attempt", "seq"].some((name) => incoming[name] !== held[name]);
  const newsAt = isNews || !isSameThought ? at : held.newsAt;
  return { ...incoming, newsAt };
}

function withReasoning(held, incoming, at) {
  const reasoning = newerReasoning(held, incoming, at);
  return reasoning === (incoming.reasoning ?? null) ? incoming : { ...incoming, reasoning };
}

function merged(state, incoming, at) {
  const { messages } = state;
  const places = incoming.length > 2 ? new Map(messages.map(({ id }, index) => [id, index])) : null;
  const copy = messages.slice();
  let isChanged = false;
  let isMoved = false;
  for (const message of incoming) {
    if (!message) continue;
    const index = places ? (places.get(message.id) ?? -1) : indexOf(copy, message.id);
    const next = newer(copy[index], message, at);
    if (next === copy[index]) continue;
    isChanged = true;
    isMoved ||= index < 0 || next.position !== copy[index].position;
    if (index < 0) places?.set(message.id, copy.length);
    copy[index < 0 ? copy.length : index] = next;
  }
  if (isMoved) copy.sort(order);
  return isChanged ? { ...state, messages: copy } : state;
}

function replaced(state, index, message) {
  return { ...state, messages: spliced(state.messages, index, message) };
}

function spliced(messages, index, message) {
  const copy = messages.slice();
  copy[index] = message;
  return copy;
}

/** `blocks` = {from, html}: from that top-level block on, the text is drawn like this. */
function withBlocks(html, blocks) {
  return blocks ? [...html.slice(0, blocks.from), ...blocks.html] : html;
}

/** The outbox without what has arrived. Falls back to the text where a server doesn't tell the client_id. */
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

function indexOf(messages, id) {
  for (let i = messages.length - 1; i >= 0; i--) if (messages[i].id === id) return i; // what changes is near the end
  return -1;
}

function order(a, b) {
  return a.position - b.position || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

// --- reading the state ---

/** The messages that joined an answer while it was being written, in order. Only one with tools has any. */
export function joinedIn(state, answer) {
  return answer.tool_calls?.length ? state.messages.filter((message) => message.taken_by === answer.id) : [];
}

/** Tool calls that somebody has to allow or deny. */
export function askedCalls(message) {
  if (!isOpen(message)) return [];
  return (message.tool_calls ?? []).filter((call) => call.status === "pending" && call.approval === "asked");
}

/** Tool calls that go on once somebody has filled in their form. */
export function formCalls(message) {
  if (!isOpen(message)) return [];
  return (message.tool_calls ?? []).filter((call) => call.status === "running" && call.form && !call.form.action);
}

export function isOpen(message) {
  return message.status === "pending" || message.status === "processing";
}

const alone = new WeakMap(); // message -> its entry: the same object as long as the message is the same
const headsOf = new WeakMap(); // messages -> what `heads` has found in them

/** Of each question that was asked anew, and of what was asked instead: the id of the newest in that row. */
function heads(state) {
  const known = headsOf.get(state.messages);
  if (known) return known;
  const found = new Map();
  for (let i = state.messages.length - 1; i >= 0; i--) {
    const { id, superseded_by: next } = state.messages[i];
    if (!next) continue;
    const head = found.get(next) ?? next;
    found.set(next, head).set(id, head);
  }
  headsOf.set(state.messages, found);
  return found;
}

/** By what the version of a question is chosen; that of its answer is chosen by its id. */
function rowOf(head) {
  return `row-${head}`;
}

/**
 * The messages of the conversation in order: one entry per question and per answer, whose versions are one entry.
 * `of` is the id by which the version to show is chosen. An entry of one message is the same object each time, so that a
 * view sees at a glance that there is nothing to draw. An entry of {message: {gap}} stands where some are not loaded.
 */
export function thread(state) {
  const entries = [];
  const newest = heads(state);
  const rows = new Map(); // head -> the versions of that question
  const hidden = new Set(); // questions that are not shown, and so neither are their answers
  for (const message of state.messages) {
    const head = newest.get(message.id);
    if (head) rows.set(head, [...(rows.get(head) ?? []), message]);
  }
  const gaps = new Set(state.gaps);
  for (const message of state.messages) {
    addTo(entries, message);
    if (gaps.has(message.id)) entries.push({ message: gapAfter(message), versions: null });
  }
  return entries;

  function addTo(all, message) {
    const isQuestion = message.role === "user";
    if (isQuestion && (message.status === "pending" || message.status === "cancelled")) return; // queued, or withdrawn
    if (!isQuestion && !all.length && state.hasMore) return; // its question isn't loaded yet
    if (!isQuestion && hidden.has(message.reply_to)) return;
    const head = isQuestion && newest.get(message.id);
    if (head) {
      const of = rowOf(head);
      if (message.id === (state.chosen[of] ?? head)) all.push({ message, versions: rows.get(head), of });
      else hidden.add(message.id);
      return;
    }
    const last = all[all.length - 1];
    if (!isQuestion && last?.versions && message.reply_to && last.message.reply_to === message.reply_to) {
      const versions = [...last.versions, message];
      const chosen = state.chosen[message.reply_to];
      const shown = versions.find(({ id }) => id === chosen) ?? message;
      all[all.length - 1] = { message: shown, versions, of: message.reply_to };
      return;
    }
    let entry = alone.get(message);
    if (!entry) alone.set(message, (entry = { message, versions: isQuestion ? null : [message], of: message.reply_to }));
    const taker = message.taken_by ? all.findLastIndex((each) => each.versions?.some(({ id }) => id === message.taken_by)) : -1;
    if (taker < 0) all.push(entry);
    else all.splice(taker, 0, entry); // it joined in while that was being written, and is part of what it answers
  }
}

/** For each entry the number of its stretch: some messages that follow each other, the same ones whatever is loaded. */
export function stretchesOf(entries) {
  let number = 0; // a message that joined an answer stands before it though it came later
  return entries.map(({ message }) => (number = Math.max(number, Math.floor((message.position ?? 0) / STRETCH))));
}

function gapAfter({ id }) {
  return { id: `gap-${id}`, gap: id, role: "gap", content: "", status: "success" };
}

/** The message behind a gap. */
export function afterGap(state, id) {
  return state.messages[indexOf(state.messages, id) + 1] ?? null;
}

/** Whether this question can be asked anew: it is one's own, and nobody has said more. */
export function mayResend(state, message) {
  if (message.role !== "user" || message.author?.id !== state.you?.id || !mayWrite(state) || message.taken_by) return false;
  for (let i = state.messages.length - 1; i >= 0; i--) {
    const last = state.messages[i];
    if (last.role === "user" && last.status !== "cancelled") return last.id === message.id && last.status === "success";
  }
  return false;
}

/** The id of the message before which older ones are to be loaded. (A new version of an old answer has no part in it.) */
export function oldest(state) {
  return (state.messages.find((message) => message.role === "user") ?? state.messages[0])?.id ?? null;
}

export function queued(state) {
  return state.messages.filter((message) => message.role === "user" && message.status === "pending");
}

/** The id before which a waiting message goes to move by -1 or 1; null: to the end; undefined: it can't. */
export function placeBefore(state, message, by) {
  const waiting = queued(state);
  const index = waiting.findIndex(({ id }) => id === message.id);
  if (index < 0 || !waiting[index + by]) return undefined;
  return (by < 0 ? waiting[index - 1] : waiting[index + 2])?.id ?? null;
}

/** One's own, or any as the owner. */
export function mayMove(state, message) {
  return mayWrite(state) && (message.author?.id === state.you?.id || state.you?.role === "owner");
}

/** Whether a question that is sent now would have to wait. */
export function isBusy(state, now) {
  return Boolean(running(state)) || queued(state).length > 0 || Date.parse(state.session?.queue_paused_until ?? "") > now;
}

/** The answer that is being waited for or written, or null. A session has at most one. */
export function running(state) {
  for (let i = state.messages.length - 1; i >= 0; i--) {
    const message = state.messages[i];
    if (message.role === "assistant" && isOpen(message)) return message;
  }
  return null;
}

export function questionOf(state, reply) {
  return state.messages.find((message) => message.id === reply.reply_to) ?? null;
}

export function typists(state, now) {
  return Object.values(state.typing)
    .filter((typist) => typist.until > now)
    .map((typist) => typist.name);
}

/** Seconds for which the queue still rests after a failed answer; 0 if it doesn't. */
export function pausedFor(state, now) {
  const until = Date.parse(state.session?.queue_paused_until ?? "");
  return until > now && !running(state) && queued(state).length ? Math.ceil((until - now) / 1000) : 0;
}

/** Whether the page hears nothing at the moment, so that it can't know how an answer comes on. */
export function isCutOff(state, now) {
  return state.lostAt !== null && now - state.lostAt >= BREAK_MS;
}

export function mayWrite(state) {
  return state.you?.role !== "viewer" && state.you?.role !== "reader";
}

export function hueOf(state, userId) {
  const here = state.participants.find((person) => person.id === userId);
  // Who has left has a colour, too; an id may be a number or any text.
  return here?.color ?? [...String(userId)].reduce((hue, letter) => (hue * 31 + letter.codePointAt(0)) % 360, 137);
}
