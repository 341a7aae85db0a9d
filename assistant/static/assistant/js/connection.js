// @ts-check
/** One quiet line about the connection, shown only while there is something to say. */

import { pageAddress, signInAddress } from "./addresses.js";
import { one, part } from "./parts.js";
import { BREAK_MS } from "./state/selectors.js";

/** @import { State } from "./state/reducer.js" */
/** @import { Store } from "./store.js" */

/** @type {Record<number, string>} */
const REASONS = {
  4401: "You are signed out, or your account was closed. What you wrote is kept.",
  4403: "You are no longer in this session.",
  4404: "This session is gone.",
};

/**
 * `reasons`: what the codes mean that end a connection for good. `reassurance` is added while it is away.
 * @param {{ store: Store, reasons?: Record<number, string>, reassurance?: string }} options
 */
export function showConnection({ store, reasons = REASONS, reassurance = " What you write is kept." }) {
  const line = one(document, "[data-connection]");
  const text = part(line, "text");
  const way = part(line, "way");
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  store.watch((state, before) => {
    if (state.connection === before.connection) return;
    clearTimeout(timer);
    if (state.connection === "gone" || state.connection === "open" || !line.hidden) show(state);
    else timer = setTimeout(() => show(store.state), BREAK_MS);
  });

  /** @param {State} state */
  function show({ connection, closed, ready }) {
    line.hidden = connection === "open";
    line.classList.toggle("is-gone", connection === "gone");
    text.textContent =
      connection === "gone"
        ? (reasons[closed ?? 0] ?? "The connection was closed.")
        : connection === "offline"
          ? `Offline.${reassurance}`
          : ready
            ? `Connecting again…${reassurance}`
            : "Connecting…";
    way.hidden = connection !== "gone";
    way.textContent = closed === 4401 ? "Sign in" : "Go to your sessions";
    way.href = closed === 4401 ? signInAddress() : pageAddress();
  }
}
