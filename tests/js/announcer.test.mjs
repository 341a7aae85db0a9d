import assert from "node:assert/strict";
import test from "node:test";

import { announce, beginning } from "../../assistant/static/assistant/js/announcer.js";

test("of a long text its first whole sentences are announced", () => {
  assert.equal(beginning("Short.\n\n Really  short. "), "Short. Really short.");
  const long = `The first one. ${"So it goes on. ".repeat(40)}`;
  const said = beginning(long);
  assert.ok(said.startsWith("The first one. So it goes on.") && said.endsWith("So it goes on. (The rest is in the conversation.)"), said);
  assert.ok(said.length < 340);
});

test("of a sentence without an end whole words are announced", () => {
  const said = beginning("wordy ".repeat(100));
  assert.match(said, /^(wordy )+wordy… \(The rest is in the conversation\.\)$/);
});

const ASKED = { id: "c", title: "Wipe", status: "pending", approval: "asked" };
const FORM = { id: "f", title: "Book", status: "running", form: { number: 1, message: "Where?" } };

/** What is said when a state follows another by a frame. */
function said(before, state, type) {
  const region = { textContent: "" };
  globalThis.document = { querySelector: () => region };
  let watcher;
  announce({ store: { watch: (given) => (watcher = given) }, modelLabel: (id) => id });
  const of = (...messages) => ({ messages: messages.map((each) => ({ role: "assistant", model: "M", content: "Yes.", ...each })) });
  watcher(of(...state), of(...before), { type, message_id: "1" });
  return region.textContent;
}

test("a decision that waits is said also if a snapshot brings it, and once", () => {
  const open = { id: "1", status: "processing" };
  const waiting = { ...open, tool_calls: [ASKED, FORM] };
  for (const type of ["session.snapshot", "message.tool_calls"]) {
    const words = said([open], [waiting], type);
    assert.match(words, /Book asks: Where\?/, type);
    assert.match(words, /asks for leave: Wipe\./, type);
    assert.equal(said([waiting], [waiting], type), "", type);
  }
  assert.match(said([], [waiting], "session.snapshot"), /Wipe/);
});

test("a snapshot says how an answer ended that was open, and nothing of those that had", () => {
  const open = { id: "1", status: "processing" };
  const ended = { id: "1", status: "success", tool_calls: [{ ...ASKED, status: "cancelled" }] };
  assert.equal(said([open], [ended], "session.snapshot"), "M answered: Yes.");
  assert.equal(said([], [ended], "session.snapshot"), "");
  assert.equal(said([ended], [ended], "session.snapshot"), "");
});
