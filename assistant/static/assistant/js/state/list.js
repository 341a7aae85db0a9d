/**
 * The list of one's sessions, and how each frame of /ws/sessions/ changes it. Pure: no DOM, no clock, no network.
 *
 * A list holds a beginning of what the server would list, without a hole: a session that belongs further down than what
 * is loaded is not taken in.
 */

/** `archived`: the list of what was put away, instead of the usual one. */
export function emptyList(archived = false) {
  return { archived, sessions: [], hasMore: true };
}

export function applyList(list, frame) {
  const step = Object.hasOwn(steps, frame.type) ? steps[frame.type] : null;
  return step ? step(list, frame) : list;
}

const steps = {
  "list.snapshot": snapshot,
  "list.updated": updated,
  "list.removed": (list, { session_id }) => without(list, session_id),
  /** The next sessions below those that are there, as the API answers: {sessions, has_more}. */
  "list.page": page,
};

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

function updated(list, { session }) {
  const held = list.sessions.find(({ id }) => id === session.id);
  const next = newer(held, session);
  if (!belongs(list, next)) return without(list, session.id);
  const others = list.sessions.filter(({ id }) => id !== session.id);
  const last = others.at(-1);
  if (list.hasMore && (!last || order(next, last) > 0)) return without(list, session.id);
  return { ...list, sessions: [...others, next].sort(order) };
}

function page(list, frame) {
  const known = byId(list.sessions);
  for (const session of frame.sessions) known.set(session.id, newer(known.get(session.id), session));
  const sessions = [...known.values()].filter((session) => belongs(list, session)).sort(order);
  return { ...list, sessions, hasMore: frame.has_more };
}

/** The session and what is one's own of it each have a version; of each the higher one counts. */
function newer(held, incoming) {
  if (!held) return incoming;
  const shared = incoming.version < held.version ? held : incoming;
  const yours = incoming.yours.version < held.yours.version ? held.yours : incoming.yours;
  return { ...shared, role: incoming.role, yours: { ...yours, unread: Math.max(0, shared.said - yours.read) } };
}

function belongs(list, session) {
  return session.yours.archived === list.archived;
}

function without(list, id) {
  const sessions = list.sessions.filter((session) => session.id !== id);
  return sessions.length === list.sessions.length ? list : { ...list, sessions };
}

function byId(sessions) {
  return new Map(sessions.map((session) => [session.id, session]));
}

/** Newest activity first, as the server lists them. */
function order(a, b) {
  const later = Date.parse(b.updated_at) - Date.parse(a.updated_at);
  return later || (a.updated_at < b.updated_at ? 1 : a.updated_at > b.updated_at ? -1 : a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}
