// @ts-check
/** Tells the server how far one has read: all that was said, while the session is in view of a page with the focus. */

import { api } from "./api.js";
import { refusal } from "./http.js";

/** @import { Store } from "./store.js" */

const SOON_MS = 300; // what comes close together is told once
const AGAIN_MS = 5_000;

/** Whether somebody looks at this page: then what arrives is no news to them. */
export const isLookedAt = () => !document.hidden && document.hasFocus();

/** @param {{ store: Store, sessionId: string }} options */
export function keepRead({ store, sessionId }) {
  let told = 0;
  /** @type {ReturnType<typeof setTimeout> | null} */
  let timer = null;

  const isLooking = () => store.state.ready && isLookedAt();

  function look(after = SOON_MS) {
    const said = store.state.session?.said ?? 0;
    if (said <= told || timer || !isLooking()) return;
    timer = setTimeout(tell, after);
  }

  async function tell() {
    timer = null;
    if (isLooking()) await send();
  }

  async function send() {
    const said = store.state.session?.said ?? 0;
    try {
      await api.markRead(sessionId, said);
      told = Math.max(told, said);
      look();
    } catch (error) {
      if (refusal(error).isRetryable) look(AGAIN_MS);
    }
  }

  store.watch((state, before) => {
    if (state.session?.said !== before.session?.said || state.ready !== before.ready) look();
  });
  document.addEventListener("visibilitychange", () => look());
  addEventListener("focus", () => look());
  addEventListener("pagehide", () => {
    if (!timer) return; // it was looked at: that must not be lost because the next page came sooner
    clearTimeout(timer);
    timer = null;
    send();
  });
}
