import assert from "node:assert/strict";
import test from "node:test";

import { silenceText, statusText } from "../../assistant/static/assistant/js/status.js";
import { apply, empty } from "../../assistant/static/assistant/js/state/reducer.js";
import { askedCalls, hueOf, isCutOff, oldest, pausedFor, queued, running, typists } from "../../assistant/static/assistant/js/state/selectors.js";
import { thread } from "../../assistant/static/assistant/js/state/thread.js";

const alice = { id: 1, name: "Alice", role: "owner", color: 10 };
const bob = { id: 2, name: "Bob", role: "editor", color: 200 };

function question(n, fields = {}) {
  return {
    id: `q${n}`, role: "user", author: { id: 1, name: "Alice" }, content: `question ${n}`, html: [], status: "success",
    version: 1, position: 2 * n, attempt: 0, seq: 0, reply_to: null, created_at: "2026-01-01T10:00:00Z", ...fields,
  };
}

function answer(n, fields = {}) {
  return {
    id: `a${n}`, role: "assistant", author: null, content: "", html: [], status: "processing", version: 2, position: 2 * n + 1,
    attempt: 1, seq: 0, reply_to: `q${n}`, created_at: "2026-01-01T10:00:01Z", alive: true, ...fields,
  };
}

function snapshot(messages, fields = {}) {
  return {
    type: "session.snapshot", at: 1000, session: { id: "s", title: "T", role: "owner" }, you: alice,
    participants: [alice, bob], online: [1], messages, has_more: false, ...fields,
  };
}

const delta = (seq, text, fields = {}) => ({ type: "message.delta", at: 2000, message_id: "a1", attempt: 1, seq, text, ...fields });
const after = (...events) => events.reduce(apply, empty);
const byId = (state, id) => state.messages.find((message) => message.id === id);

test("a snapshot and the deltas after it give the text to the letter", () => {
  const state = after(snapshot([question(1), answer(1, { content: "Gr\u00fc", seq: 3 })]), delta(4, "\u00dfe, "), delta(5, "👩‍👩‍👧"));
  assert.equal(byId(state, "a1").content, "Grüße, 👩‍👩‍👧");
  assert.equal(byId(state, "a1").seq, 5);
});

test("a delta that is already held is dropped", () => {
  const before = after(snapshot([question(1), answer(1, { content: "ab", seq: 2 })]));
  assert.equal(apply(before, delta(2, "b")), before);
  assert.equal(apply(before, delta(1, "a")), before);
});

test("a hole asks for a sync and draws nothing", () => {
  const state = after(snapshot([question(1), answer(1)]), delta(2, "b"));
  assert.equal(state.stale, true);
  assert.equal(byId(state, "a1").content, "");
  const healed = apply(state, snapshot([question(1), answer(1, { content: "ab", seq: 2 })]));
  assert.equal(healed.stale, false);
  assert.equal(byId(healed, "a1").content, "ab");
});

test("a delta of an unknown message asks for a sync once", () => {
  const state = after(snapshot([], { has_more: true }), delta(1, "x"));
  assert.equal(state.stale, true);
  const synced = apply(state, snapshot([], { has_more: true }));
  assert.equal(apply(synced, delta(2, "y")).stale, false);
});

test("a delta of an earlier attempt changes nothing", () => {
  const before = after(snapshot([question(1), answer(1, { attempt: 2, content: "new", seq: 1 })]));
  assert.equal(apply(before, delta(9, "late")), before);
});

test("a delta after the end changes nothing", () => {
  const before = after(snapshot([question(1), answer(1, { status: "cancelled", content: "part", seq: 4 })]));
  assert.equal(apply(before, delta(5, "late")), before);
});

test("the first delta of a pending answer begins it", () => {
  const state = after(snapshot([question(1), answer(1, { status: "pending", attempt: 0 })]), delta(1, "Hi"));
  assert.equal(byId(state, "a1").status, "processing");
  assert.equal(byId(state, "a1").attempt, 1);
});

test("blocks replace what was drawn from their index on and leave the others", () => {
  const html = ["<p>one</p>", "<p>tw</p>"];
  const state = after(
    snapshot([question(1), answer(1, { html, seq: 1 })]),
    delta(2, "o", { blocks: { from: 1, html: ["<p>two</p>", "<p>three</p>"] } }),
  );
  assert.deepEqual(byId(state, "a1").html, ["<p>one</p>", "<p>two</p>", "<p>three</p>"]);
  const shorter = apply(state, delta(3, "", { blocks: { from: 1, html: ["<ul></ul>"] } }));
  assert.deepEqual(byId(shorter, "a1").html, ["<p>one</p>", "<ul></ul>"]);
  assert.deepEqual(html, ["<p>one</p>", "<p>tw</p>"]);
});

test("a reset begins the answer again and the next attempt's deltas count from one", () => {
  const state = after(
    snapshot([question(1), answer(1, { content: "old", html: ["<p>old</p>"], seq: 7 })]),
    { type: "message.reset", at: 1, message_id: "a1", attempt: 2, seq: 0, content: "", html: [] },
    delta(1, "new", { attempt: 2, blocks: { from: 0, html: ["<p>new</p>"] } }),
  );
  assert.equal(byId(state, "a1").content, "new");
  assert.deepEqual(byId(state, "a1").html, ["<p>new</p>"]);
});

test("an update of a lower version is dropped", () => {
  const before = after(snapshot([question(1), answer(1, { version: 5, status: "success", content: "done" })]));
  assert.equal(apply(before, { type: "message.updated", at: 1, message: answer(1, { version: 4 }) }), before);
});

test("a stored text that lags behind doesn't take back what is shown", () => {
  const before = after(snapshot([question(1), answer(1, { content: "abc", seq: 3 })]));
  const state = apply(before, { type: "message.updated", at: 1, message: answer(1, { version: 3, content: "a", seq: 1 }) });
  assert.equal(byId(state, "a1").content, "abc");
  assert.equal(byId(state, "a1").version, 3);
});

test("the end carries the final text, whatever was held", () => {
  const before = after(snapshot([question(1), answer(1, { content: "abX", seq: 3 })]));
  const ended = answer(1, { version: 3, status: "success", content: "abc", seq: 3 });
  assert.equal(byId(apply(before, { type: "message.updated", at: 1, message: ended }), "a1").content, "abc");
});

test("an event that tells nothing new leaves the very same state", () => {
  const held = answer(1, { version: 3, status: "success", content: "abc" });
  const before = after(snapshot([question(1), held]));
  assert.equal(apply(before, { type: "message.updated", at: 5, message: { ...held } }), before);
  assert.equal(apply(before, { type: "no.such.event", at: 5 }), before);
  assert.equal(apply(before, { type: "toString", at: 5 }), before);
});

test("a sync that tells nothing new is no news", () => {
  const state = after(snapshot([question(1), answer(1)]), snapshot([question(1), answer(1, { alive: false })], { at: 30_000 }));
  assert.equal(byId(state, "a1").newsAt, 1000);
  assert.equal(byId(state, "a1").alive, false);
});

test("messages stand in order of position, whenever they arrive", () => {
  const state = after(snapshot([question(3)]), ...[2, 1].map((n) => ({ type: "message.created", at: 1, message: question(n) })));
  assert.deepEqual(state.messages.map(({ id }) => id), ["q1", "q2", "q3"]);
});

test("history loaded before stays over a sync, unless a gap opened", () => {
  const start = after(snapshot([question(5), question(6)], { has_more: true }));
  const more = apply(start, { type: "ui.older", at: 1, messages: [question(3), question(4)], has_more: true });
  const synced = apply(more, snapshot([question(6), question(7)], { has_more: true }));
  assert.deepEqual(synced.messages.map(({ id }) => id), ["q3", "q4", "q5", "q6", "q7"]);
  const gap = apply(synced, snapshot([question(90), question(91)], { has_more: true }));
  assert.deepEqual(gap.messages.map(({ id }) => id), ["q90", "q91"]);
  assert.equal(gap.hasMore, true);
});

test("several answers to one question are versions of one entry, the newest shown", () => {
  const first = answer(1, { status: "error", content: "no" });
  const second = answer(1, { id: "a1b", status: "success", content: "yes" });
  const state = after(snapshot([question(1), first, second]));
  const [, entry] = thread(state);
  assert.deepEqual(entry.versions.map(({ id }) => id), ["a1", "a1b"]);
  assert.equal(entry.message.id, "a1b");
  const turned = apply(state, { type: "ui.version", question: "q1", reply: "a1" });
  assert.equal(thread(turned)[1].message.id, "a1");
  const third = apply(turned, { type: "message.created", at: 1, message: answer(1, { id: "a1c" }) });
  assert.equal(thread(third)[1].message.id, "a1c");
});

test("queued messages wait beside the conversation, withdrawn ones are gone", () => {
  const state = after(snapshot([question(1), answer(1), question(2, { status: "pending" }), question(3, { status: "cancelled" })]));
  assert.deepEqual(thread(state).map(({ message }) => message.id), ["q1", "a1"]);
  assert.deepEqual(queued(state).map(({ id }) => id), ["q2"]);
  assert.equal(running(state).id, "a1");
});

test("a new version of an answer that isn't loaded doesn't stand at the top", () => {
  const state = after(snapshot([question(50)], { has_more: true }), { type: "message.created", at: 1, message: answer(3) });
  assert.deepEqual(thread(state).map(({ message }) => message.id), ["q50"]);
  assert.equal(oldest(state), "q50");
  assert.equal(running(state).id, "a3");
});

test("what is sent leaves the outbox when the server has it, by either way", () => {
  const sending = after(snapshot([]), { type: "ui.sending", client_id: "c", content: "question 1", at: Date.parse("2026-01-01T10:00:00Z") });
  assert.equal(sending.outbox[0].status, "sending");
  const answered = apply(sending, { type: "ui.sent", client_id: "c", message: question(1), reply: answer(1), at: 1 });
  assert.deepEqual(answered.outbox, []);
  assert.equal(answered.messages.length, 2);
  assert.deepEqual(apply(sending, { type: "message.created", at: 1, message: question(1) }).outbox, []);
  assert.deepEqual(apply(sending, snapshot([question(1, { client_id: "c", content: "changed" })])).outbox, []);
  assert.equal(apply(sending, { type: "message.created", at: 1, message: question(1, { author: { id: 2, name: "Bob" } }) }).outbox.length, 1);
});

test("what was refused stays with its sentence, and can be sent again as the same message", () => {
  const failed = after(
    { type: "ui.sending", client_id: "c", content: "x", at: 1 },
    { type: "ui.unsent", client_id: "c", detail: "Too long.", retryable: false },
  );
  assert.equal(failed.outbox[0].detail, "Too long.");
  const again = apply(failed, { type: "ui.sending", client_id: "c", content: "x", at: 1 });
  assert.deepEqual(again.outbox.map(({ client_id, status }) => [client_id, status]), [["c", "sending"]]);
});

test("a session's change keeps one's own role", () => {
  const state = after(snapshot([]), { type: "session.updated", at: 1, session: { id: "s", title: "New", role: null } });
  assert.equal(state.session.title, "New");
  assert.equal(state.session.role, "owner");
});

test("typing ends by itself, by word, and when the message comes", () => {
  const bobTypes = { type: "typing", user: { id: 2, name: "Bob" }, active: true, at: 5000 };
  const state = after(snapshot([]), bobTypes, { type: "typing", user: { id: 1, name: "Alice" }, active: true, at: 5000 });
  assert.deepEqual(typists(state, 6000), ["Bob"]);
  assert.deepEqual(typists(state, 12_000), []);
  assert.deepEqual(typists(apply(state, { ...bobTypes, active: false }), 6000), []);
  const said = apply(state, { type: "message.created", at: 6000, message: question(1, { author: { id: 2, name: "Bob" } }) });
  assert.deepEqual(typists(said, 6000), []);
});

test("the queue's rest is counted down only while something waits and nothing runs", () => {
  const session = { id: "s", title: "T", queue_paused_until: "2026-01-01T10:00:30Z" };
  const now = Date.parse("2026-01-01T10:00:10Z");
  const waiting = question(2, { status: "pending" });
  assert.equal(pausedFor(after(snapshot([waiting], { session })), now), 20);
  assert.equal(pausedFor(after(snapshot([], { session })), now), 0);
  assert.equal(pausedFor(after(snapshot([answer(1), waiting], { session })), now), 0);
});

test("participants come, change and go", () => {
  const carol = { id: 3, name: "Carol", role: "viewer", color: 77 };
  const joined = after(snapshot([]), { type: "participant.joined", at: 1, participant: carol });
  assert.equal(hueOf(joined, 3), 77);
  for (const left of [9, "0f6e8a52-93c1-4d0e-8a57-1b2c3d4e5f60"]) assert.ok(hueOf(joined, left) >= 0 && hueOf(joined, left) < 360);
  assert.equal(apply(joined, { type: "participant.left", at: 1, participant: carol }).participants.length, 2);
  const demoted = apply(joined, { type: "participant.updated", at: 1, participant: { ...alice, role: "viewer" } });
  assert.equal(demoted.you.role, "viewer");
});

test("somebody who has left keeps the colour that the server gives them", () => {
  const state = after(snapshot([]), { type: "participant.left", at: 1, participant: bob });
  assert.equal(hueOf(state, 7), 188); // zlib.crc32(b"hue-7") % 360
  assert.equal(hueOf(state, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"), 283);
});

test("any order of duplicates and late frames ends in the same text", () => {
  const pieces = [..."Letter by letter, e\u0301 👍🏽 included."];
  const deltas = pieces.map((text, i) => delta(i + 1, text));
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  for (let round = 0; round < 200; round++) {
    const joinAt = Math.floor(random() * pieces.length);
    let state = after(snapshot([question(1), answer(1, { content: pieces.slice(0, joinAt).join(""), seq: joinAt })]));
    for (const [i, frame] of deltas.entries()) {
      if (random() < 0.1) continue; // lost
      state = apply(state, frame);
      if (random() < 0.2) state = apply(state, deltas[Math.floor(random() * (i + 1))]);
      if (state.stale) state = apply(state, snapshot([question(1), answer(1, { content: pieces.slice(0, i + 1).join(""), seq: i + 1 })]));
    }
    const end = answer(1, { status: "processing", content: pieces.join(""), seq: pieces.length });
    assert.equal(byId(apply({ ...state, stale: true }, snapshot([question(1), end])), "a1").content, pieces.join(""));
  }
});

test("what an answer waits for is shown until the next words come", () => {
  const waits = { type: "message.turn_status", at: 1500, message_id: "a1", attempt: 1, text: "Asking again in 2 s…" };
  const waiting = after(snapshot([question(1), answer(1)]), waits);
  assert.equal(byId(waiting, "a1").waitsFor, "Asking again in 2 s…");
  assert.equal(byId(apply(waiting, delta(1, "Hi")), "a1").waitsFor, null);
  const ended = after(snapshot([question(1), answer(1, { status: "success" })]));
  assert.equal(apply(ended, waits), ended);
});

test("summaries come with the snapshot and one by one, each once, in order", () => {
  const summary = (id, until_position) => ({ id, until_position, content: id });
  const state = after(
    snapshot([question(1)], { summaries: [summary("two", 5)] }),
    { type: "summary.created", summary: summary("one", 3) },
    { type: "summary.created", summary: summary("two", 5) },
  );
  assert.deepEqual(state.summaries.map(({ id }) => id), ["one", "two"]);
});

test("an entry of a message that is the same is the same object, so that nothing of it is drawn again", () => {
  const before = after(snapshot([question(1), answer(1, { status: "success" }), question(2), answer(2)]));
  const next = apply(before, delta(1, "x", { message_id: "a2" }));
  const [old, now] = [thread(before), thread(next)];
  assert.deepEqual(old.map((entry, index) => entry === now[index]), [true, true, true, false]);
  assert.equal(now[3].message.content, "x");
});

test("a page of older messages joins those that are held: each once, in order, the newer knowledge of each", () => {
  const held = after(snapshot([question(50), answer(50, { version: 5, status: "success", content: "whole" })], { has_more: true }));
  const page = [];
  for (let n = 49; n >= 0; n -= 1) page.push(answer(n, { status: "success" }), question(n));
  const state = apply(held, { type: "ui.older", messages: [...page, answer(50, { version: 2 })], has_more: false, at: 1 });
  assert.equal(state.messages.length, 102);
  assert.deepEqual(
    state.messages.map(({ position }) => position),
    Array.from({ length: 102 }, (_, position) => position),
  );
  assert.equal(byId(state, "a50").content, "whole");
  assert.equal(state.hasMore, false);
});

test("a page that brings nothing new leaves the messages as they are", () => {
  const state = after(snapshot([question(1), answer(1, { status: "success" })], { has_more: true }));
  const next = apply(state, { type: "ui.older", messages: [question(1)], has_more: true, at: 1 });
  assert.equal(next.messages, state.messages);
});

test("a chosen version is shown until a new one is made", () => {
  const versions = [answer(1, { status: "success" }), answer(1, { id: "b1", status: "success" }), answer(1, { id: "c1", status: "success" })];
  let state = after(snapshot([question(1), ...versions]), { type: "ui.version", question: "q1", reply: "b1" });
  assert.equal(thread(state)[1].message.id, "b1");
  assert.equal(thread(state)[1].versions.length, 3);
  state = apply(state, { type: "message.created", message: answer(1, { id: "d1", status: "pending" }), at: 1 });
  assert.equal(thread(state)[1].message.id, "d1");
});

test("tool calls come apart from their message, and a late frame takes none back", () => {
  const call = (status) => ({ id: "c", round: 1, block: 0, status, approval: null });
  const answer = { id: "a", role: "assistant", status: "processing", position: 1, version: 3, attempt: 1, seq: 0, content: "", tool_calls: [] };
  let state = apply({ ...empty, messages: [answer] }, { type: "message.tool_calls", message_id: "a", version: 5, tool_calls: [call("running")], at: 1 });
  assert.equal(state.messages[0].tool_calls[0].status, "running");
  state = apply(state, { type: "message.tool_calls", message_id: "a", version: 4, tool_calls: [call("pending")], at: 2 });
  assert.equal(state.messages[0].tool_calls[0].status, "running");
  state = apply(state, { type: "message.updated", message: { ...answer, version: 4 }, at: 3 });
  assert.equal(state.messages[0].tool_calls[0].status, "running", "an older message doesn't bring older calls");
  state = apply(state, { type: "message.updated", message: { ...answer, version: 6, tool_calls: [call("success")] }, at: 4 });
  assert.equal(state.messages[0].tool_calls[0].status, "success");
});

test("what a tool says about itself is kept by call, and what waits for leave is found", () => {
  const asked = { id: "c", round: 1, block: 0, status: "pending", approval: "asked" };
  const answer = { id: "a", role: "assistant", status: "pending", position: 1, version: 3, attempt: 1, seq: 0, content: "", tool_calls: [asked] };
  assert.deepEqual(askedCalls(answer), [asked]);
  assert.deepEqual(askedCalls({ ...answer, status: "cancelled" }), []);
  const state = apply({ ...empty, messages: [answer] }, { type: "message.tool_status", message_id: "a", attempt: 1, call_id: "c", text: "Reading", at: 1 });
  assert.deepEqual(state.messages[0].toolTexts, { c: "Reading" });
});

test("applying is cheap in a session of thousands of messages", () => {
  const messages = Array.from({ length: 2500 }, (_, n) => [question(n), answer(n, { status: n < 2499 ? "success" : "processing" })]).flat();
  let state = after(snapshot(messages));
  const began = performance.now();
  for (let seq = 1; seq <= 100; seq += 1) {
    state = apply(state, delta(seq, "x", { message_id: "a2499" }));
    thread(state);
  }
  const each = (performance.now() - began) / 100;
  assert.ok(each < 30, `${each} ms a delta`); // takes 0.3; loose, because machines are busy
});

test("while the page is cut off it says nothing of the model", () => {
  const online = after({ type: "connection", status: "open", at: 500 }, snapshot([question(1), answer(1, { content: "So", seq: 1 })]));
  const message = byId(online, "a1");
  const said = (state, now) => [silenceText(message, { now, isCutOff: isCutOff(state, now) }), statusText(message, { now, isCutOff: isCutOff(state, now), modelLabel: "M" })];
  assert.match(said(online, 60_000)[0], /nothing new for 59 s/);
  const away = [{ type: "connection", status: "offline", at: 40_000 }, { type: "connection", status: "reconnecting", at: 50_000 }].reduce(apply, online);
  assert.deepEqual(said(away, 60_000), ["", "Not connected. What is written meanwhile shows later."]);
  assert.match(said(away, 40_500)[1], /^Writing/, "a short break shows nowhere");
  const back = apply(away, { type: "connection", status: "open", at: 61_000 });
  assert.match(said(back, 62_000)[0], /nothing new/);
});
