import assert from "node:assert/strict";
import test from "node:test";

import { Refusal } from "../../assistant/static/assistant/js/http.js";
import { createUploads, inMB } from "../../assistant/static/assistant/js/uploads.js";

/** Uploads whose server is in the test's hand. */
function scene({ maxBytes = 100, maxCount = 3, remembered = [] } = {}) {
  const calls = [];
  const taken = [];
  let kept = remembered;
  const uploads = createUploads({
    upload: (file, options) => new Promise((resolve, reject) => calls.push({ file, options, resolve, reject })),
    takeBack: (id) => taken.push(id),
    memory: { files: () => kept, keepFiles: (list) => (kept = list) },
    limits: { maxBytes, maxCount },
  });
  const settled = () => new Promise((resolve) => setTimeout(resolve));
  return { uploads, calls, taken, settled, kept: () => kept };
}

const file = (name, size = 10) => ({ name, size });
const made = (id, name = id) => ({ id, name, size: 10, type: "text/plain", url: `/${id}` });

test("a picked file is uploaded at once, tells how far it is, and is remembered when the server has it", async () => {
  const { uploads, calls, settled, kept } = scene();
  assert.equal(uploads.add([file("a.txt")]), "");
  await settled();
  calls[0].options.onProgress(0.5);
  assert.deepEqual([uploads.items[0].status, uploads.items[0].progress, uploads.isBusy], ["uploading", 0.5, true]);
  assert.deepEqual(kept(), []);
  calls[0].resolve(made("1", "a.txt"));
  await settled();
  assert.deepEqual([uploads.items[0].status, uploads.isBusy], ["done", false]);
  assert.deepEqual(kept(), [made("1", "a.txt")]);
});

test("several are uploaded one after the other and keep their order", async () => {
  const { uploads, calls, settled } = scene();
  uploads.add([file("1"), file("2")]);
  await settled();
  assert.equal(calls.length, 1);
  calls[0].resolve(made("1"));
  await settled();
  calls[1].resolve(made("2"));
  await settled();
  assert.deepEqual(uploads.take().map(({ id }) => id), ["1", "2"]);
  assert.deepEqual(uploads.items, []);
});

test("a failed one says why, holds no other up, and can be tried again", async () => {
  const { uploads, calls, settled } = scene();
  uploads.add([file("a"), file("b")]);
  await settled();
  calls[0].reject(new Refusal(0, "unreachable", "No line."));
  await settled();
  assert.deepEqual([uploads.items[0].status, uploads.items[0].detail, uploads.hasFailed], ["failed", "No line.", true]);
  calls[1].resolve(made("b"));
  await settled();
  uploads.again(uploads.items[0].key);
  await settled();
  calls[2].resolve(made("a"));
  await settled();
  assert.deepEqual(uploads.take().map(({ id }) => id), ["a", "b"]);
});

test("a removed one is aborted, or taken back if the server has it already", async () => {
  const { uploads, calls, taken, settled, kept } = scene({ remembered: [made("old")] });
  uploads.add([file("new")]);
  await settled();
  uploads.remove(uploads.items[1].key);
  assert.equal(calls[0].options.signal.aborted, true);
  calls[0].resolve(made("late"));
  await settled();
  uploads.remove(uploads.items[0].key);
  await settled();
  assert.deepEqual([taken, uploads.items, kept()], [["late", "old"], [], []]);
});

test("what is too big, empty or one too many is not taken, with a sentence", () => {
  const { uploads } = scene();
  assert.match(uploads.add([file("big", 101)]), /“big” has 101 bytes; a file may have 100 bytes/);
  assert.match(uploads.add([file("none", 0)]), /nothing in “none”/);
  assert.match(uploads.add([file("1"), file("2"), file("3"), file("4")]), /may have 3 files/);
  assert.equal(uploads.items.length, 3);
});

test("remembered files come back, and those that the server has forgotten go", async () => {
  const { uploads, kept } = scene({ remembered: [made("here"), made("gone")] });
  assert.deepEqual(uploads.items.map(({ status }) => status), ["done", "done"]);
  await uploads.check(async (id) => id === "here");
  assert.deepEqual(kept(), [made("here")]);
});

test("one that is removed while remembered files are asked for is taken back after that", async () => {
  const { uploads, taken, settled } = scene({ remembered: [made("a"), made("b")] });
  /** @type {((there: boolean) => void)[]} */
  const answers = [];
  const checked = uploads.check(() => new Promise((resolve) => answers.push(resolve)));
  assert.equal(answers.length, 2); // side by side
  uploads.remove("a");
  await settled();
  assert.deepEqual(taken, []); // else the question could meet a file that is gone
  answers.forEach((answer) => answer(true));
  await checked;
  await settled();
  assert.deepEqual(taken, ["a"]);
});

test("files of a message that comes back to be edited are there again", () => {
  const { uploads } = scene();
  uploads.putBack([made("a")]);
  assert.deepEqual(uploads.take(), [made("a")]);
});

test("sizes are said as people say them", () => {
  assert.deepEqual([500, 2048, 1_600_000, 25_000_000].map(inMB), ["500 bytes", "2 KB", "1.5 MB", "24 MB"]);
});
