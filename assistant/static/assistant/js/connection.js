/** One quiet line about the connection, shown only while there is something to say. */

import { BREAK_MS } from "./state/selectors.js";

const REASONS = {
  4401: "You are signed out, or your account was closed. What you wrote is kept.",
  4403: "You are no longer in this session.",
  4404: "This session is gone.",
};

/** `reasons`: what the codes mean that end a connection for good. `reassurance` is added while it is away. */
export function showConnection({ store, reasons = REASONS, reassurance = " What you write is kept." }) {
  const line = document.querySelector("[data-connection]");
  const text = line.querySelector("[data-part=text]");
  const way = line.querySelector("[data-part=way]");
  let timer = null;

  store.watch((state, before) => {
    if (state.connection === before.connection) return;
    clearTimeout(timer);
    if (state.connection === "gone") return show(state);
    if (state.connection === "open" || !line.hidden) return show(state);
    timer = setTimeout(() => show(store.state), BREAK_MS);
  });

  function show({ connection, closed, ready }) {
    line.hidden = connection === "open";
    line.classList.toggle("is-gone", connection === "gone");
    text.textContent =
      connection === "gone"
        ? (reasons[closed] ?? "The connection was closed.")
        : connection === "offline"
          ? `Offline.${reassurance}`
          : ready
            ? `Connecting again…${reassurance}`
            : "Connecting…";
    way.hidden = connection !== "gone";
    way.textContent = closed === 4401 ? "Sign in" : "Go to your sessions";
    way.href = closed === 4401 ? `/login/?next=${encodeURIComponent(location.pathname)}` : "/";
  }
}
