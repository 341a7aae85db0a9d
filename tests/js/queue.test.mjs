import assert from "node:assert/strict";
import test from "node:test";

import { keyOf, matching, mentionPattern, mentions, typedMention } from "../../assistant/static/assistant/js/mentions.js";
import { changesOf, valuesOf } from "../../assistant/static/assistant/js/settings.js";
import { apply, empty } from "../../assistant/static/assistant/js/state/reducer.js";
import { isBusy, mayMove, placeBefore, queued } from "../../assistant/static/assistant/js/state/selectors.js";
import { thread } from "../../assistant/static/assistant/js/state/thread.js";

const owner = { id: 1, name: "Alice", role: "owner", color: 10 };
const editor = { id: 2, name: "Bob", role: "editor", color: 20 };
const viewer = { id: 3, name: "Vera", role: "viewer", color: 30 };

function question(n, fields = {}) {
  return {
    id: `q${n}`, role: "user", author: { id: 1, name: "Alice" }, content: `question ${n}`, html: [], status: "success",
    version: 1, position: 2 * n, attempt: 0, seq: 0, reply_to: null, taken_by: null, created_at: "2026-01-01T10:00:00Z", ...fields,
  };
}

function answer(n, fields = {}) {
  return {
    id: `a${n}`, role: "assistant", author: null, content: "", html: [], status: "processing", version: 1, position: 2 * n + 1,
    attempt: 1, seq: 0, reply_to: `q${n}`, created_at: "2026-01-01T10:00:01Z", alive: true, ...fields,
  };
}

function room(messages, you = owner, session = {}) {
  return apply(empty, {
    type: "session.snapshot", at: 1000, session: { id: "s", title: "T", role: you.role, ...session }, you,
    participants: [owner, editor, viewer], online: [], messages, has_more: false,
  });
}

const waiting = (n, fields = {}) => question(n, { status: "pending", ...fields });

test("a move up goes before the one above, a move down before the one after the next, or to the end", () => {
  const state = room([question(1), answer(1), waiting(2), waiting(3), waiting(4)]);
  const [a, b, c] = queued(state);
  assert.equal(placeBefore(state, b, -1), a.id);
  assert.equal(placeBefore(state, a, 1), c.id);
  assert.equal(placeBefore(state, b, 1), null);
  assert.equal(placeBefore(state, a, -1), undefined);
  assert.equal(placeBefore(state, c, 1), undefined);
  assert.equal(placeBefore(state, question(1), 1), undefined);
});

test("authors move their own, the owner any, a viewer none", () => {
  const messages = [waiting(1, { author: { id: 2, name: "Bob" } }), waiting(2)];
  const may = (you) => room(messages, you).messages.map((message) => mayMove(room(messages, you), message));
  assert.deepEqual(may(owner), [true, true]);
  assert.deepEqual(may(editor), [true, false]);
  assert.deepEqual(may(viewer), [false, false]);
});

test("new positions put the queue in order", () => {
  const state = room([question(1), answer(1), waiting(2), waiting(3)]);
  const moved = [waiting(3, { position: 4, version: 2 }), waiting(2, { position: 6, version: 2 })];
  const after = moved.reduce((held, message) => apply(held, { type: "message.updated", at: 2000, message }), state);
  assert.deepEqual(queued(after).map(({ id }) => id), ["q3", "q2"]);
});

test("a message that joined an answer stands before it, in the order of joining", () => {
  const joined = (n) => question(n, { taken_by: "a1", taken_round: 1 });
  const state = room([question(1), answer(1), joined(2), joined(3), question(4), answer(4)]);
  assert.deepEqual(thread(state).map(({ message }) => message.id), ["q1", "q2", "q3", "a1", "q4", "a4"]);
});

test("a message that joined an answer which isn't loaded keeps its place", () => {
  const state = room([question(2, { taken_by: "a1" }), question(3)]);
  assert.deepEqual(thread(state).map(({ message }) => message.id), ["q2", "q3"]);
});

test("it is busy while an answer is written, somebody waits, or the queue rests", () => {
  assert.equal(isBusy(room([question(1), answer(1, { status: "success" })]), 0), false);
  assert.equal(isBusy(room([question(1), answer(1)]), 0), true);
  assert.equal(isBusy(room([waiting(1)]), 0), true);
  const paused = room([], owner, { queue_paused_until: "2026-01-01T10:00:00Z" });
  assert.equal(isBusy(paused, Date.parse("2026-01-01T09:59:59Z")), true);
  assert.equal(isBusy(paused, Date.parse("2026-01-01T10:00:01Z")), false);
});

test("mentions are found as the server finds them", () => {
  const names = ["assistant", "Claude Sonnet"];
  for (const text of ["@assistant?", "Hi @Assistant.", "(@ASSISTANT)", "@claude sonnet", "@claude-sonnet x", "@ClaudeSonnet"]) {
    assert.equal(mentions(text, names), true, text);
  }
  for (const text of ["assistant", "@assistants", "a@assistant", "@assistant.org", "`@assistant`", "```\n@assistant\n```", "@@assistant"]) {
    assert.equal(mentions(text, names), false, text);
  }
  assert.equal(mentionPattern([]), null);
  assert.deepEqual([..."@zoë und @Дима".matchAll(mentionPattern(["Zoë", "дима"]))].map((m) => keyOf(m[1])), ["zoë", "дима"]);
});

test("the mention that is being typed ends at the caret", () => {
  assert.deepEqual(typedMention("Hi @al", 6), { start: 3, query: "al" });
  assert.deepEqual(typedMention("@", 1), { start: 0, query: "" });
  assert.deepEqual(typedMention("@al there", 3), { start: 0, query: "al" });
  assert.equal(typedMention("post@al", 7), null);
  assert.equal(typedMention("@al there", 9), null);
});

test("names are offered by the beginning of any of their words", () => {
  const people = [{ name: "assistant" }, { name: "Alice Smith" }, { name: "Bob" }];
  assert.deepEqual(matching(people, "s").map(({ name }) => name), ["Alice Smith"]);
  assert.deepEqual(matching(people, "A").map(({ name }) => name), ["assistant", "Alice Smith"]);
  assert.equal(matching(people, "").length, 3);
});

test("only the settings that were changed are sent", () => {
  const before = valuesOf({ system_prompt: "old", model: null, replies: "every", when_busy: "queue", parameters: { temperature: 0.5, max_tokens: 9 } });
  assert.deepEqual(changesOf(before, before), {});
  assert.deepEqual(changesOf(before, { ...before, replies: "mention", temperature: "", top_p: "0.25" }), {
    replies: "mention", parameters: { temperature: null, top_p: 0.25 },
  });
  assert.deepEqual(changesOf(before, { ...before, system_prompt: "", reasoning_effort: "low" }), {
    system_prompt: "", parameters: { reasoning_effort: "low" },
  });
});
