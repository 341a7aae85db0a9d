import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { backoff, connect } from "../../assistant/static/assistant/js/socket.js";

let sockets, frames, statuses, line;

class FakeSocket {
  readyState = 0;
  sent = [];
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
  }
  accept(messages = []) {
    this.readyState = 1;
    this.tell({ type: "session.snapshot", messages });
  }
  tell(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }
  drop(code = 1006) {
    this.readyState = 3;
    this.onclose({ code });
  }
}

/** In small steps: within one long tick every timer would see the clock of its end. */
function pass(ms) {
  for (let passed = 0; passed < ms; passed += 200) mock.timers.tick(200);
}

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_000_000 });
  sockets = [];
  frames = [];
  statuses = [];
  line = connect({
    url: "ws://x",
    open: () => sockets[sockets.push(new FakeSocket()) - 1],
    isOnline: () => true,
    onFrame: (frame) => frames.push(frame),
    onStatus: (status, code) => statuses.push(code ? `${status} ${code}` : status),
  });
});

test("frames come with the moment of their arrival, and the snapshot says that the line is open", () => {
  sockets[0].accept();
  assert.deepEqual(frames, [{ type: "session.snapshot", messages: [], at: 1_000_000 }]);
  assert.deepEqual(statuses, ["connecting", "open"]);
});

test("a lost line is opened again by itself", () => {
  sockets[0].accept();
  sockets[0].drop();
  assert.equal(statuses.at(-1), "reconnecting");
  pass(600);
  assert.equal(sockets.length, 2);
  sockets[1].accept();
  assert.equal(statuses.at(-1), "open");
});

test("waits grow, are bounded, and differ between browsers", () => {
  assert.ok(backoff(0, 1) <= 500);
  assert.ok(backoff(5, 0) < backoff(5, 1));
  assert.equal(backoff(50, 1), 20_000);
  assert.ok(backoff(50, 0) >= 5_000);
});

test("a final close code is told and nothing is tried again", () => {
  sockets[0].accept();
  sockets[0].drop(4403);
  pass(60_000);
  line.check();
  assert.equal(sockets.length, 1);
  assert.equal(statuses.at(-1), "gone 4403");
});

test("a quiet line is pinged, a dead one is given up", () => {
  sockets[0].accept();
  pass(24_000);
  assert.deepEqual(sockets[0].sent, [{ type: "ping" }]);
  sockets[0].tell({ type: "pong" });
  pass(24_000);
  assert.equal(sockets[0].sent.length, 2);
  pass(10_000);
  assert.equal(statuses.at(-1), "reconnecting");
  pass(1_000);
  assert.equal(sockets.length, 2);
});

test("a socket that never delivers its snapshot is given up", () => {
  pass(9_000);
  assert.equal(statuses.at(-1), "reconnecting");
});

test("what a given-up socket still says is not heard", () => {
  sockets[0].accept();
  const { onmessage } = sockets[0];
  pass(40_000);
  onmessage?.({ data: '{"type":"message.updated"}' });
  assert.equal(frames.length, 1);
});

test("many reasons to sync within a moment are one request now and one at its end", () => {
  sockets[0].accept();
  for (let i = 0; i < 10; i++) line.sync();
  assert.equal(sockets[0].sent.length, 1);
  pass(1_600);
  assert.equal(sockets[0].sent.length, 2);
});

test("a check on an open line syncs, on a lost one connects at once", () => {
  sockets[0].accept();
  line.check();
  assert.deepEqual(sockets[0].sent, [{ type: "sync" }]);
  sockets[0].drop();
  line.check();
  assert.equal(sockets.length, 2);
});

test("after a sleep, when the timers come back late, the line is tried at once", () => {
  sockets[0].accept();
  mock.timers.setTime(Date.now() + 15_000); // no timer ran in between
  pass(2_000);
  assert.deepEqual(sockets[0].sent, [{ type: "ping" }]);
  pass(8_200);
  assert.equal(statuses.at(-1), "reconnecting");
});
