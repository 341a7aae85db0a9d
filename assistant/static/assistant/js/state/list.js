// @ts-check
/**
 * The list of one's sessions, and how each frame of /ws/sessions/ changes it. Pure: no DOM, no clock, no network.
 *
 * A list holds a beginning of what the server would list, without a hole: a session that belongs further down than what
 * is loaded is not taken in.
 */

/** @import { ListedSession, Sessions } from "parley/api" */
/** @import { ListFrame, ListSnapshot, ListUpdated } from "parley/frames" */

/**
 * @typedef {object} List
 * @property {boolean} archived of what was put away, instead of the usual one
 * @property {ListedSession[]} sessions
 * @property {boolean} hasMore there are more below them
 */

/**
 * A frame, or the next sessions below those that are there, as the API answers.
 * @typedef {ListFrame | ({ type: "list.page" } & Sessions)} ListEvent
 */

/** @returns {List} */
export function emptyList(archived = false) {
  return { archived, sessions: [], hasMore: true };
}

/**
 * The next list; the same one if nothing changed.
 * @param {List} list
 * @param {ListEvent} event
 * @returns {List}
 */
export function applyList(list, event) {
  if (!Object.hasOwn(steps, event.type)) return list;
  const step = /** @type {(list: List, event: ListEvent) => List} */ (steps[event.type]);
  return step(list, event);
}

/** @type {{ [T in ListEvent["type"]]?: (list: List, event: Extract<ListEvent, { type: T }>) => List }} */
const steps = {
  "list.snapshot": snapshot,
  "list.updated": updated,
  "list.removed": (list, { session_id }) => without(list, session_id),
  "list.page": page,
};

/**
 * @param {List} list
 * @param {ListSnapshot} frame
 * @returns {List}
 */
function snapshot(list, frame) {
  if (list.archived) return list; // snapshots are of the usual list
  const known = byId(list.sessions);
  const incoming = frame.sessions.map((session) => newer(known.get(session.id), session));
  const last = incoming.at(-1);
  const there = new Set(incoming.map(({ id }) => id));
  // What was loaded further down stays; of what stands higher the snapshot knows all.
  const kept = frame.has_more && last ? list.sessions.filter((s) => !there.has(s.id) && order(s, last) > 0) : [];
  const sessions = [...incoming, ...kept].filter((session) => belongs(list, session)).sort(order);
  return { ...list, sessions, hasMore: kept.length ? list.hasMore : frame.has_more };
}

/**
 * @param {List} list
 * @param {ListUpdated} frame
 * @returns {List}
 */
function updated(list, { session }) {
  const held = list.sessions.find(({ id }) => id === session.id);
  const next = newer(held, session);
  if (!belongs(list, next)) return without(list, session.id);
  const others = list.sessions.filter(({ id }) => id !== session.id);
  const last = others.at(-1);
  if (list.hasMore && (!last || order(next, last) > 0)) return without(list, session.id);
  return { ...list, sessions: [...others, next].sort(order) };
}

/**
 * @param {List} list
 * @param {Sessions} below
 * @returns {List}
 */
function page(list, below) {
  const known = byId(list.sessions);
  for (const session of below.sessions) known.set(session.id, newer(known.get(session.id), session));
  const sessions = [...known.values()].filter((session) => belongs(list, session)).sort(order);
  return { ...list, sessions, hasMore: below.has_more };
}

/**
 * What everybody sees of a session and what is one's own of it have a version each; of both the higher one counts.
 * @param {ListedSession | undefined} held
 * @param {ListedSession} incoming
 * @returns {ListedSession}
 */
function newer(held, incoming) {
  if (!held) return incoming;
  const shared = incoming.version < held.version ? held : incoming;
  const yours = incoming.yours.version < held.yours.version ? held.yours : incoming.yours;
  return { ...shared, role: incoming.role, yours: { ...yours, unread: Math.max(0, shared.said - yours.read) } };
}

/**
 * @param {List} list
 * @param {ListedSession} session
 */
function belongs(list, session) {
  return session.yours.archived === list.archived;
}

/**
 * @param {List} list
 * @param {string} id
 * @returns {List}
 */
function without(list, id) {
  const sessions = list.sessions.filter((session) => session.id !== id);
  return sessions.length === list.sessions.length ? list : { ...list, sessions };
}

/** @param {ListedSession[]} sessions */
function byId(sessions) {
  return new Map(sessions.map((session) => [session.id, session]));
}

/**
 * Newest activity first, as the server lists them.
 * @param {ListedSession} a
 * @param {ListedSession} b
 */
function order(a, b) {
  const later = Date.parse(b.updated_at) - Date.parse(a.updated_at);
  return later || (a.updated_at < b.updated_at ? 1 : a.updated_at > b.updated_at ? -1 : a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}
