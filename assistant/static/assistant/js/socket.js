// @ts-check
/** The live connection to one session, or to the list of them: opens, listens, notices a dead line, comes back by itself. */

/** @import { Frame, ListFrame, Sent } from "parley/frames" */
/** @import { State } from "./state/reducer.js" */

/** @typedef {ReturnType<typeof connect>} Line */

const FINAL = new Set([4401, 4403, 4404]);
const PING_EVERY_MS = 20_000;
const ANSWER_WITHIN_MS = 6_000;
const SYNC_EVERY_MS = 1_500;
const WATCH_EVERY_MS = 2_000;
const SLEPT_MS = 10_000;

/**
 * Milliseconds to wait before try number `tries` (0, 1, ...): exponential with full jitter above a floor.
 * @param {number} tries
 * @param {number} [random] 0 to 1
 */
export function backoff(tries, random = Math.random()) {
  const ceiling = Math.min(20_000, 500 * 2 ** tries);
  return Math.round(ceiling / 4 + (ceiling * 3 * random) / 4);
}

/**
 * onFrame() gets every frame with `at`, the moment of its arrival in ms. After onStatus("gone", code), where the close code says
 * why, nothing is tried again.
 * @template {Frame | ListFrame} F
 * @param {object} options
 * @param {string} options.url
 * @param {(frame: F & { at: number }) => void} options.onFrame
 * @param {(status: State["connection"], code?: number) => void} options.onStatus
 * @param {(url: string) => WebSocket} [options.open]
 * @param {() => boolean} [options.isOnline]
 */
export function connect({ url, onFrame, onStatus, open = (to) => new WebSocket(to), isOnline = () => navigator.onLine }) {
  /** @typedef {ReturnType<typeof setTimeout> | undefined} Timer */
  /** @type {WebSocket | null} */
  let socket = null;
  let tries = 0;
  /** @type {Timer} */
  let retryTimer;
  /** @type {Timer} */
  let watchTimer;
  /** @type {Timer} */
  let syncTimer;
  let heardAt = 0;
  let askedAt = 0; // when an answer was asked for that has not come; 0: none
  let syncedAt = 0;
  let watchedAt = Date.now();
  let isGone = false;

  function start() {
    clearTimeout(retryTimer);
    retryTimer = undefined;
    if (isGone) return;
    const mine = open(url);
    socket = mine;
    heardAt = askedAt = Date.now(); // the snapshot is owed
    mine.onmessage = ({ data }) => {
      if (mine !== socket) return;
      heardAt = Date.now();
      askedAt = 0;
      let frame;
      try {
        frame = JSON.parse(data);
      } catch {
        return;
      }
      if (frame.type === "session.snapshot" || frame.type === "list.snapshot") {
        tries = 0;
        onStatus("open");
      }
      if (frame.type !== "pong") onFrame({ ...frame, at: heardAt });
    };
    mine.onclose = ({ code }) => {
      if (mine === socket) lost(code);
    };
    mine.onerror = () => {}; // a close follows
  }

  /** @param {number} code */
  function lost(code) {
    socket = null;
    if (FINAL.has(code)) {
      isGone = true;
      stop();
      onStatus("gone", code);
      return;
    }
    onStatus(isOnline() ? "reconnecting" : "offline");
    if (!retryTimer) retryTimer = setTimeout(start, backoff(code === 1013 ? tries + 2 : tries));
    tries += 1;
  }

  function abandon() {
    // A dead line may take minutes to close by itself.
    const dead = socket;
    socket = null;
    if (dead) {
      dead.onclose = dead.onmessage = null;
      dead.close();
    }
    lost(0);
  }

  function watch() {
    const now = Date.now();
    const hasSlept = now - watchedAt > SLEPT_MS; // the machine, or this tab: who knows what became of the line
    watchedAt = now;
    if (!socket) return;
    if (hasSlept && !askedAt) ask({ type: "ping" });
    else if (askedAt && now - askedAt > ANSWER_WITHIN_MS) abandon();
    else if (!askedAt && now - heardAt > PING_EVERY_MS) ask({ type: "ping" });
  }

  /** @param {Sent} frame that is answered */
  function ask(frame) {
    if (send(frame)) askedAt ||= Date.now();
  }

  /** @param {Sent} frame */
  function send(frame) {
    if (socket?.readyState !== 1) return false;
    socket.send(JSON.stringify(frame));
    return true;
  }

  /** Asks for a snapshot, at most every 1.5 s: the last request within that time is answered at its end. */
  function sync() {
    if (syncTimer) return;
    const wait = syncedAt + SYNC_EVERY_MS - Date.now();
    if (wait > 0) {
      syncTimer = setTimeout(() => {
        syncTimer = undefined;
        sync();
      }, wait);
      return;
    }
    syncedAt = Date.now();
    ask({ type: "sync" });
  }

  /** Something suggests that the line may be dead or was away: look at once. */
  function check() {
    if (isGone) return;
    if (socket?.readyState === 1) sync();
    else if (!socket || socket.readyState > 1) {
      tries = 0;
      start();
    }
  }

  function stop() {
    clearTimeout(retryTimer);
    clearTimeout(syncTimer);
    clearInterval(watchTimer);
    watchTimer = undefined;
  }

  function close() {
    isGone = true;
    stop();
    const last = socket;
    socket = null;
    last?.close();
  }

  onStatus("connecting");
  start();
  watchTimer = setInterval(watch, WATCH_EVERY_MS);
  // In Node, where this is tested, it keeps no process alive.
  /** @type {{ unref?: () => void }} */ (watchTimer).unref?.();
  function lostNetwork() {
    if (socket) onStatus("offline");
  }

  return { send, sync, check, close, lostNetwork };
}
