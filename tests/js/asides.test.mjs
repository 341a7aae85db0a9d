import assert from "node:assert/strict";
import test from "node:test";

import { triedTitle } from "../../assistant/static/assistant/js/asides.js";

test("what was asked in vain came before an answer only where there is one", () => {
  assert.equal(triedTitle({ status: "success" }), "Asked in vain before this answer");
  assert.equal(triedTitle({ status: "error" }), "Asked in vain");
});
