import assert from "node:assert/strict";
import test from "node:test";

import { missingText, triedTitle } from "../../assistant/static/assistant/js/asides.js";

test("what was asked in vain came before an answer only where there is one", () => {
  assert.equal(triedTitle({ status: "success" }), "Asked in vain before this answer");
  assert.equal(triedTitle({ status: "error" }), "Asked in vain");
});

test("an answer says without whose tools it is written, and why", () => {
  assert.equal(missingText({ missing: [] }), "");
  assert.equal(missingText({}), "");
  const missing = [{ title: "Depot", why: "starting" }, { title: "Wiki", why: "unauthorized" }, { title: "Mail", why: "whatever" }];
  assert.equal(
    missingText({ missing }),
    "Without the tools of Depot: it was still starting. Ask again in a moment to have them. Without the tools of Wiki: an administrator has to connect it again. Without the tools of Mail: it could not be reached.",
  );
});
