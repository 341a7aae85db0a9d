import assert from "node:assert/strict";
import { test } from "node:test";

import { editable } from "../../assistant/static/assistant/js/tools.js";

test("arguments are edited in lines, and none of their numbers is another by that", () => {
  assert.equal(editable('{"what":"1.5 or 12345678901234567890","n":7}'), '{\n  "what": "1.5 or 12345678901234567890",\n  "n": 7\n}');
  for (const exact of ['{"n":12345678901234567890}', '{"n": 1.0}', '{"n": 1e400}', "{not json"]) assert.equal(editable(exact), exact);
  assert.equal(editable(""), "{}");
});
