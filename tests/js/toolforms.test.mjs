import assert from "node:assert/strict";
import test from "node:test";

import { drawForm } from "../../assistant/static/assistant/js/toolforms.js";

function element() {
  const parts = new Map();
  const name = (selector) => selector.match(/data-part="(.+)"/)[1];
  return {
    dataset: {},
    hidden: false,
    textContent: "",
    replaceChildren() {},
    querySelector: (selector) => parts.get(name(selector)) ?? parts.set(name(selector), element()).get(name(selector)),
    part: (name) => parts.get(name),
  };
}

function drawn(url) {
  const call = element();
  drawForm(call, { id: "1", title: "Shop", form: { number: 1, message: "Pay, please.", url } }, true, true);
  return call.part("tool-form").part("form-link");
}

test("a page to open is a link that is called by its site", () => {
  const link = drawn("https://pay.example/7?of=alice");
  assert.deepEqual([link.hidden, link.href], [false, "https://pay.example/7?of=alice"]);
  assert.match(link.textContent, /pay\.example/);
});

test("an address that a browser does not take is no link, and the form is drawn all the same", () => {
  for (const url of ["https://exa mple.com", "https://a:99999/", "https://%zz/", "http://a<b>/", "javascript:alert(1)"]) {
    const link = drawn(url);
    assert.deepEqual([link.hidden, link.href], [true, undefined], url);
  }
});
