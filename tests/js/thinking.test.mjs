import assert from "node:assert/strict";
import test from "node:test";

import { isSilent, silenceText, statusText } from "../../assistant/static/assistant/js/status.js";
import { apply, empty } from "../../assistant/static/assistant/js/state/reducer.js";
import { cutAt, isThinking, newestLine, thinksOnly, thoughtFor } from "../../assistant/static/assistant/js/state/thinking.js";

const question = { id: "q", role: "user", author: { id: 1, name: "Alice" }, content: "Why?", html: [], status: "success", version: 1, position: 0, attempt: 0, seq: 0 };
const answer = (fields = {}) => ({
  id: "a", role: "assistant", author: null, content: "", html: [], status: "processing", version: 2, position: 1, attempt: 1,
  seq: 0, reply_to: "q", created_at: "2026-01-01T10:00:00Z", alive: true, reasoning: null, ...fields,
});
const snapshot = (fields, at = 1000) => ({
  type: "session.snapshot", at, session: { id: "s" }, you: { id: 1, role: "owner" }, messages: [question, answer(fields)], has_more: false,
});
const thought = (seq, text, at = 2000, attempt = 1) => ({ type: "message.reasoning_delta", message_id: "a", attempt, seq, text, at });
const words = (seq, text, at, attempt = 1) => ({ type: "message.delta", message_id: "a", attempt, seq, text, at, blocks: { from: 0, html: [] } });
const updated = (fields, at) => ({ type: "message.updated", message: answer({ version: 3, ...fields }), at });
const after = (...events) => events.reduce(apply, empty);
const held = (state) => state.messages.find(({ id }) => id === "a");

test("what a model thinks is put together apart from its words, each by a count of its own", () => {
  const state = after(snapshot(), thought(1, "Let me "), thought(2, "see."), words(1, "It is", 5000), thought(3, " Hm."), words(2, " so.", 6000));
  assert.equal(held(state).reasoning.content, "Let me see. Hm.");
  assert.equal(held(state).content, "It is so.");
  assert.deepEqual([held(state).reasoning.seq, held(state).seq], [3, 2]);
});

test("a thought that is held is dropped, a hole asks for a sync, and the snapshot closes it", () => {
  const before = after(snapshot(), thought(1, "a"), thought(2, "b"));
  assert.equal(apply(before, thought(2, "b")), before);
  const holed = apply(before, thought(4, "d"));
  assert.equal(holed.stale, true);
  assert.equal(held(holed).reasoning.content, "ab");
  const healed = apply(holed, snapshot({ reasoning: { content: "abcd", seconds: 3, tokens: null, seq: 4 } }));
  assert.equal(healed.stale, false);
  assert.equal(held(apply(healed, thought(5, "e"))).reasoning.content, "abcde");
});

test("whoever joins in the middle goes on from the snapshot, and its seconds count on", () => {
  const state = after(snapshot({ reasoning: { content: "ab", seconds: 7, tokens: null, seq: 2 } }), thought(2, "b"), thought(3, "c", 3000));
  assert.equal(held(state).reasoning.content, "abc");
  assert.equal(thoughtFor(held(state).reasoning, 6000), 12_000);
});

test("a snapshot that lags behind takes no thought back", () => {
  const before = after(snapshot(), thought(1, "a"), thought(2, "b"));
  for (const reasoning of [{ content: "a", seconds: 1, tokens: null, seq: 1 }, null]) {
    const state = apply(before, snapshot({ version: 3, reasoning }, 9000));
    assert.equal(held(state).reasoning, held(before).reasoning);
  }
  assert.equal(held(apply(before, snapshot({ reasoning: { content: "ab", seconds: 1, tokens: null, seq: 2 } }, 9000))), held(before), "nothing new");
});

test("a new attempt thinks anew, and what is left of the old one changes nothing", () => {
  const before = after(snapshot(), thought(1, "old"), { type: "message.reset", message_id: "a", attempt: 2, seq: 0, content: "", reasoning: null, at: 1 });
  assert.equal(held(before).reasoning, null);
  const state = apply(before, thought(1, "new", 2000, 2));
  assert.equal(held(state).reasoning.content, "new");
  assert.equal(apply(state, thought(2, "old", 3000, 1)), state);
  assert.equal(after(snapshot(), thought(1, "old"), thought(1, "new", 3000, 2)).stale, true, "the reset was missed");
  const late = { type: "message.reset", message_id: "a", attempt: 2, seq: 0, content: "", reasoning: null, at: 4 };
  assert.equal(apply(state, late), state, "a snapshot may be ahead of the reset");
});

test("the end tells it whole, with its time and tokens, and nothing comes after", () => {
  const reasoning = { content: "ab", seconds: 4.2, tokens: 31 };
  const state = after(snapshot(), thought(1, "a"), updated({ status: "success", content: "So.", reasoning }, 9000));
  assert.deepEqual(held(state).reasoning, reasoning);
  assert.equal(apply(state, thought(2, "b")), state);
  assert.equal(thoughtFor(held(state).reasoning, 99_000), 4_200);
});

test("it thinks until words or a call come, and its time is that of its thinking alone", () => {
  const thinking = after(snapshot(), thought(1, "a", 2000), thought(2, "b", 9000));
  assert.equal(thinksOnly(held(thinking)), true);
  assert.equal(thoughtFor(held(thinking).reasoning, 12_000), 10_000);
  const writing = apply(thinking, words(1, "So", 12_000));
  assert.equal(isThinking(held(writing)), false);
  assert.equal(thoughtFor(held(writing).reasoning, 99_000), 10_000);
  const again = apply(writing, thought(3, "c", 20_000));
  assert.deepEqual([isThinking(held(again)), thinksOnly(held(again))], [true, false]);
  const calling = apply(again, { type: "message.tool_calls", message_id: "a", version: 4, tool_calls: [{ id: "c", round: 1, status: "running" }], at: 23_000 });
  assert.equal(thoughtFor(held(calling).reasoning, 99_000), 13_000);
});

test("the server's seconds count where thinking begins or goes on, and none moves the clock back in between", () => {
  const told = (seq, seconds, at) => ({ ...thought(seq, "x", at), seconds });
  const state = after(snapshot(), told(1, 0.2, 2000), told(2, 2.9, 5000), words(1, "So", 6000), told(2, 2.9, 8000), told(3, 5, 8500));
  assert.equal(thoughtFor(held(after(snapshot(), told(1, 0.2, 2000), told(2, 2.9, 5000))).reasoning, 5000), 3200);
  assert.equal(thoughtFor(held(state).reasoning, 9500), 6000);
});

test("an answer that was put back doesn't think while it waits", () => {
  const state = after(snapshot(), thought(1, "a", 2000), updated({ status: "pending" }, 5000));
  assert.equal(isThinking(held(state)), false);
  assert.equal(thoughtFor(held(state).reasoning, 99_000), 3_000);
});

test("a thought is a sign of life: the page waits for twenty seconds of silence after it, and no less", () => {
  const state = after(snapshot({}, 1000), thought(1, "a", 15_000), thought(2, "b", 30_000));
  assert.equal(isSilent(held(state), 49_000), false);
  assert.equal(isSilent(held(state), 50_001), true);
  assert.match(silenceText(held(state), { now: 55_000 }), /nothing new for 25 s/);
});

test("what an answer waited for is over once it thinks", () => {
  const waits = { type: "message.turn_status", message_id: "a", attempt: 1, text: "Asking again in 2 s…", at: 1500 };
  assert.equal(held(after(snapshot(), waits, thought(1, "a"))).waitsFor, null);
});

test("behind words and tools the line at the end says that it thinks again", () => {
  const said = (message) => statusText(message, { now: Date.parse("2026-01-01T10:00:09Z"), modelLabel: "M", askedBy: "Bob" });
  const state = after(snapshot(), words(1, "Let me look.", 2000), thought(1, "Hm", 3000));
  assert.equal(said(held(state)), "Thinking for Bob · 9 s");
  assert.equal(said(held(apply(state, words(2, " So", 4000)))), "Writing for Bob · 9 s");
});

test("the newest line is the last one with something in it, without marks", () => {
  assert.equal(newestLine("First.\n\n**Weighing the options**\n\n  \n"), "Weighing the options");
  assert.equal(newestLine("- `a` is __odd__"), "a is odd");
  assert.equal(newestLine("\n \n"), "");
});

test("of a long line the newest part is shown, and it moves on by several words at a time", () => {
  let line = "";
  const beginnings = new Set();
  for (let i = 0; i < 200; i += 1) {
    line += `word${i} `;
    const shown = newestLine(`Before.\n${line}`);
    assert.ok(shown.length < 100 && shown.endsWith(`word${i}`), shown);
    beginnings.add(shown.slice(0, 8));
  }
  assert.ok(beginnings.size < 40, `${beginnings.size} beginnings`);
});

test("long thoughts are cut into chunks between lines, or between words, never in a character", () => {
  const pieces = (text) => {
    const found = [];
    for (let rest = text; rest; rest = rest.slice(found.at(-1).length)) found.push(rest.slice(0, cutAt(rest, 0)));
    assert.equal(found.join(""), text);
    assert.ok(found.every(({ length }) => length <= 16_000));
    return found;
  };
  assert.equal(pieces("a line\n".repeat(300)).length, 1);
  assert.ok(pieces("a line of some words\n".repeat(9_000)).slice(0, -1).every((piece) => piece.endsWith("\n")));
  assert.ok(pieces("word ".repeat(20_000)).slice(0, -1).every((piece) => piece.endsWith(" ")));
  for (const shift of ["", "x"]) for (const piece of pieces(shift + "\u{1f9e0}".repeat(20_000))) assert.ok(piece.isWellFormed());
});

test("what grows by small pieces is cut as what comes at once", () => {
  const text = "some words and a line\n".repeat(3_000);
  const chunks = [""];
  for (let at = 0; at < text.length; at += 11) {
    for (let rest = text.slice(at, at + 11); ; ) {
      const chunk = chunks.at(-1);
      const cut = cutAt(rest, chunk.length, chunk.at(-1));
      chunks[chunks.length - 1] += rest.slice(0, cut);
      if (cut === rest.length) break;
      rest = rest.slice(cut);
      chunks.push("");
    }
  }
  assert.equal(chunks.join(""), text);
  assert.ok(chunks.slice(0, -1).every((chunk) => chunk.length < 4_100 && chunk.endsWith("\n")), chunks.map(({ length }) => length).join());
});
