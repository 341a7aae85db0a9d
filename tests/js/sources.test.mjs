import assert from "node:assert/strict";
import test from "node:test";

import { hostOf } from "../../assistant/static/assistant/js/sources.js";

test("a source is called by its site, and what is no address in the web is no link", () => {
  assert.equal(hostOf("https://www.example.org/a?b"), "example.org");
  assert.equal(hostOf("http://[::1]:8000/"), "[::1]");
  for (const url of ["javascript:alert(1)", "data:text/html,x", "/relative", "", "https://"]) assert.equal(hostOf(url), "");
});
