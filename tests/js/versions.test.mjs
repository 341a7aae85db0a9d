import assert from "node:assert/strict";
import test from "node:test";
import { apply, empty } from "../../assistant/static/assistant/js/state/reducer.js";
import { afterGap, mayResend } from "../../assistant/static/assistant/js/state/selectors.js";
import { stretchesOf, thread } from "../../assistant/static/assistant/js/state/thread.js";

// --- questions asked anew, gaps, jumps ---

const asked = (id, position, more = {}) => ({
  id, position, role: "user", status: "success", version: 1, attempt: 0, seq: 0, content: id, html: [], author: { id: 7 }, ...more,
});
const answered = (id, position, reply_to, more = {}) => ({ ...asked(id, position), role: "assistant", author: null, reply_to, ...more });
const shown = (state) => thread(state).map(({ message }) => message.id);
const opened = (messages, more = {}) => apply(empty, { type: "session.snapshot", messages, you: { id: 7, role: "owner" }, at: 1, ...more });

const anew = [
  asked("q1", 2, { superseded_by: "q2" }), answered("a1", 3, "q1"),
  asked("q2", 4, { superseded_by: "q3" }), answered("a2", 5, "q2"),
  asked("q3", 6), answered("a3", 7, "q3"),
];

test("a question that was asked anew, and its answers, are versions of the new one", () => {
  const state = opened(anew);
  assert.deepEqual(shown(state), ["q3", "a3"]);
  const [question] = thread(state);
  assert.deepEqual(question.versions.map(({ id }) => id), ["q1", "q2", "q3"]);
  const back = apply(state, { type: "ui.version", question: question.of, reply: "q1" });
  assert.deepEqual(shown(back), ["q1", "a1"]);
});

test("a message in an earlier version is revealed", () => {
  assert.deepEqual(shown(apply(opened(anew), { type: "ui.reveal", id: "a2" })), ["q2", "a2"]);
  const retried = opened([asked("q", 2), answered("a", 3, "q"), answered("b", 3, "q")]);
  assert.deepEqual(shown(retried), ["q", "b"]);
  assert.deepEqual(shown(apply(retried, { type: "ui.reveal", id: "a" })), ["q", "a"]);
  assert.equal(apply(retried, { type: "ui.reveal", id: "nowhere" }), retried);
});

test("only one's own last question can be asked anew", () => {
  const mine = asked("q", 2);
  assert.equal(mayResend(opened([mine, answered("a", 3, "q")]), mine), true);
  assert.equal(mayResend(opened([mine, asked("r", 4, { author: { id: 8 } })]), mine), false);
  assert.equal(mayResend(opened([mine, asked("r", 4, { status: "pending" })]), mine), false);
  assert.equal(mayResend(opened([mine, asked("r", 4, { status: "cancelled" })]), mine), true);
  assert.equal(mayResend(opened([mine], { you: { id: 7, role: "viewer" } }), mine), false);
  assert.equal(mayResend(opened([mine], { you: { id: 8, role: "owner" } }), mine), false);
});

const run = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => asked(`q${String(from + i).padStart(3, "0")}`, 2 * (from + i)));

test("after a jump there is a gap, which closes from above or from below", () => {
  const far = apply(opened(run(80, 99), { has_more: true }), {
    type: "ui.page", messages: run(10, 20), has_more: true, has_newer: true, at: 2,
  });
  assert.deepEqual(far.gaps, ["q020"]);
  assert.equal(far.hasMore, true);
  assert.equal(shown(far)[11], "gap-q020");
  assert.equal(afterGap(far, "q020").id, "q080");
  const down = apply(far, { type: "ui.page", after: "q020", messages: run(21, 50), has_more: true, has_newer: true, at: 3 });
  assert.deepEqual(down.gaps, ["q050"]);
  const up = apply(down, { type: "ui.page", before: "q080", messages: run(60, 79), has_more: true, has_newer: true, at: 3 });
  assert.deepEqual(up.gaps, ["q050"]);
  assert.deepEqual(apply(up, { type: "ui.page", after: "q050", messages: run(51, 90), has_more: true, has_newer: true, at: 4 }).gaps, []);
  assert.deepEqual(apply(up, { type: "ui.page", before: "q060", messages: run(40, 59), has_more: true, has_newer: true, at: 4 }).gaps, []);
});

test("a jump to the very beginning leaves nothing older to load", () => {
  const far = apply(opened(run(80, 99), { has_more: true }), {
    type: "ui.page", messages: run(1, 20), has_more: false, has_newer: true, at: 2,
  });
  assert.equal(far.hasMore, false);
});

test("a page that reaches what is loaded leaves no gap, and a snapshot keeps one", () => {
  const near = apply(opened(run(80, 99), { has_more: true }), {
    type: "ui.page", messages: run(60, 85), has_more: true, has_newer: true, at: 2,
  });
  assert.deepEqual(near.gaps, []);
  const far = apply(near, { type: "ui.page", messages: run(10, 20), has_more: true, has_newer: true, at: 3 });
  const again = apply(far, { type: "session.snapshot", messages: run(90, 100), you: { id: 7 }, has_more: true, at: 4 });
  assert.deepEqual(again.gaps, ["q020"]);
  const anewAll = apply(far, { type: "session.snapshot", messages: run(300, 310), you: { id: 7 }, has_more: true, at: 4 });
  assert.deepEqual(anewAll.gaps, []);
});

test("messages stand in stretches that stay the same whatever is loaded, and in order", () => {
  const entry = (position) => ({ message: { position } });
  assert.deepEqual(stretchesOf([2, 3, 15, 16, 17, 40].map(entry)), [0, 0, 0, 1, 1, 2]);
  assert.deepEqual(stretchesOf([16, 17, 40].map(entry)), [1, 1, 2]);
  const joined = 18; // it stands before the answer that took it along
  assert.deepEqual(stretchesOf([14, joined, 15, 20].map(entry)), [0, 1, 1, 1]);
  assert.deepEqual(stretchesOf([entry(33), { message: { gap: "m" } }, entry(70), { message: { outbox: {} } }]), [2, 2, 4, 4]);
});
