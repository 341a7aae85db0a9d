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

test("what came from a cache and what was thought are said as parts", () => {
  assert.equal(spokenUsage({ ...usage, cached_tokens: 1000, reasoning_tokens: 40 }), "1,234 tokens read (1,000 from a cache), 56 written (40 of it thinking) · $0.012");
  assert.equal(spokenUsage({ ...usage, cached_tokens: 0, reasoning_tokens: 0 }), "1,234 tokens read, 56 written · $0.012");
});
