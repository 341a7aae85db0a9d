import assert from "node:assert/strict";
import test from "node:test";

import { cutText } from "../../assistant/static/assistant/js/message.js";

test("of an answer that ends at its session's limit it is said, with the limit where one may know it", () => {
  assert.equal(cutText({ settings: { parameters: { max_tokens: 2000 } } }), "It ends at the longest answer that this session’s settings allow: 2,000 tokens.");
  for (const settings of [undefined, null, { parameters: {} }]) assert.equal(cutText({ settings }), "It ends at the longest answer that this session’s settings allow.");
});
