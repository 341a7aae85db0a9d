import assert from "node:assert/strict";
import test from "node:test";

import { draftsIn, newClientId, sweepDrafts } from "../../assistant/static/assistant/js/drafts.js";

function storageOf() {
  const kept = {};
  const hidden = (value) => ({ value, enumerable: false });
  return Object.defineProperties(kept, {
    getItem: hidden((key) => (Object.hasOwn(kept, key) ? kept[key] : null)),
    setItem: hidden((key, value) => void (kept[key] = value)),
    removeItem: hidden((key) => void delete kept[key]),
  });
}

test("a draft is kept per session and survives a reload", () => {
  const storage = storageOf();
  draftsIn(storage, "a").keep("half a thou");
  assert.equal(draftsIn(storage, "a").text(), "half a thou");
  assert.equal(draftsIn(storage, "b").text(), "");
});

test("a sent text stays in the outbox with its client id until the server has it", () => {
  const storage = storageOf();
  const drafts = draftsIn(storage, "a");
  drafts.keep("hello ");
  drafts.sending({ client_id: "c", content: "hello", created_at: 1 });
  assert.equal(drafts.text(), "");
  assert.deepEqual(draftsIn(storage, "a").outbox(), [{ client_id: "c", content: "hello", created_at: 1 }]);
  drafts.done("c");
  assert.deepEqual(Object.keys(storage), []);
});

test("what was typed after sending is not cleared by the sending", () => {
  const drafts = draftsIn(storageOf(), "a");
  drafts.keep("next");
  drafts.sending({ client_id: "c", content: "hello", created_at: 1 });
  assert.equal(drafts.text(), "next");
});

test("where storage refuses, the page's memory holds the draft", () => {
  const refuse = () => {
    throw new Error("forbidden");
  };
  const drafts = draftsIn({ getItem: refuse, setItem: refuse, removeItem: refuse }, "a");
  drafts.keep("kept");
  assert.equal(drafts.text(), "kept");
});

test("drafts nobody touched for a month are forgotten", () => {
  const storage = storageOf();
  draftsIn(storage, "old").keep("x");
  storage.setItem("other", "stays");
  sweepDrafts(storage, Date.now() + 29 * 24 * 3600_000);
  assert.equal(draftsIn(storage, "old").text(), "x");
  sweepDrafts(storage, Date.now() + 31 * 24 * 3600_000);
  assert.deepEqual(Object.keys(storage), ["other"]);
});

test("a client id is made without crypto.randomUUID too", () => {
  const plain = { getRandomValues: (bytes) => crypto.getRandomValues(bytes) };
  assert.match(newClientId(plain), /^[0-9a-f]{32}$/);
  assert.notEqual(newClientId(plain), newClientId(plain));
});

test("what another tab keeps is told, once for each change of the text", () => {
  const storage = storageOf();
  const page = new EventTarget();
  const told = [];
  draftsIn(storage, "a").watch((text) => told.push(text), page);
  const changed = (key) => page.dispatchEvent(Object.assign(new Event("storage"), { key }));
  draftsIn(storage, "a").keep("from elsewhere");
  changed("parley:draft:a");
  draftsIn(storage, "a").sending({ client_id: "c", content: "other", created_at: 1 }); // the text is as it was
  changed("parley:draft:a");
  changed("parley:draft:b");
  assert.deepEqual(told, ["from elsewhere"]);
});

test("uploaded files are remembered with the draft, and go with what is sent", () => {
  const storage = storageOf();
  const drafts = draftsIn(storage, "a");
  drafts.keepFiles([{ id: "1" }, { id: "2" }]);
  assert.deepEqual(draftsIn(storage, "a").files(), [{ id: "1" }, { id: "2" }]);
  drafts.sending({ client_id: "c", content: "", attachments: [{ id: "1" }], created_at: 1 });
  assert.deepEqual(draftsIn(storage, "a").files(), [{ id: "2" }]);
});
