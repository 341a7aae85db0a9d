import assert from "node:assert/strict";
import test from "node:test";

import { beginning } from "../../assistant/static/assistant/js/announcer.js";

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
