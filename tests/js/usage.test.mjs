import assert from "node:assert/strict";
import test from "node:test";

import { spokenUsage } from "../../assistant/static/assistant/js/usage.js";

const usage = { prompt_tokens: 1234, completion_tokens: 56, cost: 0.0123, calls: 1, is_estimate: false, has_unknown_cost: false };

test("usage is said in words, with what is known of its cost", () => {
  assert.equal(spokenUsage(usage), "1,234 tokens read, 56 written · $0.012");
  assert.equal(spokenUsage({ ...usage, cost: null }), "1,234 tokens read, 56 written");
  assert.equal(spokenUsage({ ...usage, cost: 2.5, calls: 3 }), "1,234 tokens read, 56 written · $2.50 · 3 calls");
  assert.equal(spokenUsage({ ...usage, has_unknown_cost: true, is_estimate: true }), "About 1,234 tokens read, 56 written · at least $0.012");
});
