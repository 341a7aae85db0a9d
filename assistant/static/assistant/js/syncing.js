// @ts-check
/** What keeps a page in step with the server, whatever the network, the machine or the browser's tabs do. */

import { running } from "./state/selectors.js";
import { isSilent } from "./status.js";

/** @import { Line } from "./socket.js" */
/** @import { Store } from "./store.js" */

const SYNC_WHEN_SILENT_MS = 15_000;
const LOOK_EVERY_MS = 1_000;

/**
 * Looks whether the line still lives, each time when somebody comes back to the page or the network comes back.
 * @param {Line} line
 */
export function checkOnReturn(line) {
  document.addEventListener("visibilitychange", () => document.hidden || line.check());
  addEventListener("focus", () => line.check());
  addEventListener("online", () => line.check());
  addEventListener("pageshow", (event) => event.persisted && line.check());
}

/**
 * Asks for a snapshot where something was missed or nothing is heard, and draws what the clock alone changes.
 * @param {Store} store
 * @param {Line} line
 */
export function keepInSync(store, line) {
  let silentSyncAt = 0;

  store.watch((state) => state.stale && line.sync());
  setInterval(() => {
    const { state } = store;
    const now = Date.now();
    const answer = running(state);
    if (answer && isSilent(answer, now) && now - silentSyncAt > SYNC_WHEN_SILENT_MS) {
      silentSyncAt = now;
      line.sync();
    }
    const isTicking = answer || Object.keys(state.typing).length || state.session?.queue_paused_until;
    if (isTicking && !document.hidden) store.repaint();
    if (state.stale) line.sync();
  }, LOOK_EVERY_MS);
  checkOnReturn(line);
  addEventListener("offline", () => line.lostNetwork());
}
