import assert from "node:assert/strict";
import { test } from "node:test";
import { applyList, emptyList } from "../../assistant/static/assistant/js/state/list.js";

const at = (minutes) => new Date(Date.UTC(2026, 0, 1, 0, minutes)).toISOString();

function session(id, minutes, { version = 1, said = 0, read = 0, yours = 1, archived = false, title = id } = {}) {
  return {
    id, title, version, said, role: "owner", updated_at: at(minutes), running: false,
    yours: { version: yours, read, unread: said - read, mentioned: false, archived },
  };
}

const snapshot = (sessions, has_more = false) => ({ type: "list.snapshot", sessions, has_more });
const updated = (changed) => ({ type: "list.updated", session: changed });
const ids = (list) => list.sessions.map(({ id }) => id);
const start = (...frames) => frames.reduce(applyList, emptyList());

test("a snapshot is the list, newest activity first", () => {
  assert.deepEqual(ids(start(snapshot([session("a", 9), session("b", 5)]))), ["a", "b"]);
});

test("a session in which something is said moves to the top", () => {
  const list = start(snapshot([session("a", 9), session("b", 5)]), updated(session("b", 10, { version: 2, said: 1 })));
  assert.deepEqual(ids(list), ["b", "a"]);
  assert.equal(list.sessions[0].yours.unread, 1);
});

test("of the session and of what is one's own of it the higher version counts", () => {
  const read = session("a", 9, { version: 3, said: 2, read: 2, yours: 5 });
  const late = session("a", 9, { version: 4, said: 3, read: 0, yours: 4, title: "renamed" });
  const list = start(snapshot([read]), updated(late));
  assert.equal(list.sessions[0].title, "renamed");
  assert.deepEqual([list.sessions[0].yours.read, list.sessions[0].yours.unread], [2, 1]);
  const again = applyList(list, updated(session("a", 9, { version: 2, said: 1, read: 3, yours: 6 })));
  assert.deepEqual([again.sessions[0].said, again.sessions[0].yours.read, again.sessions[0].yours.unread], [3, 3, 0]);
});

test("archiving takes a session out of the usual list and into the other one", () => {
  const away = updated(session("a", 9, { yours: 2, archived: true }));
  assert.deepEqual(ids(start(snapshot([session("a", 9)]), away)), []);
  const archived = applyList({ ...emptyList(true), hasMore: false }, away);
  assert.deepEqual(ids(archived), ["a"]);
  assert.deepEqual(ids(applyList(archived, updated(session("a", 10, { yours: 3 })))), []);
});

test("what was deleted or left is gone", () => {
  assert.deepEqual(ids(start(snapshot([session("a", 9)]), { type: "list.removed", session_id: "a" })), []);
});

test("a session that belongs further down than what is loaded leaves no hole", () => {
  const list = start(snapshot([session("a", 9), session("b", 5)], true), updated(session("z", 1, { version: 2 })));
  assert.deepEqual(ids(list), ["a", "b"]);
  const more = applyList(list, { type: "list.page", sessions: [session("c", 4), session("z", 1)], has_more: false });
  assert.deepEqual(ids(more), ["a", "b", "c", "z"]);
  assert.equal(more.hasMore, false);
});

test("a later snapshot keeps what was loaded below it, and drops what is gone above", () => {
  const list = start(
    snapshot([session("a", 9), session("b", 8)], true),
    { type: "list.page", sessions: [session("c", 5), session("d", 4)], has_more: false },
    snapshot([session("e", 10), session("b", 8)], true),
  );
  assert.deepEqual(ids(list), ["e", "b", "c", "d"]);
  assert.equal(list.hasMore, false);
});

test("an unknown frame changes nothing", () => {
  const list = start(snapshot([session("a", 9)]));
  for (const type of ["pong", "error", "constructor"]) assert.equal(applyList(list, { type }), list);
});
