/** The page of somebody who reads along by a link: the conversation, live, and nothing to do in it. */

import { announce } from "./announcer.js";
import { api } from "./api.js";
import { showConnection } from "./connection.js";
import { isSilent } from "./message.js";
import { showMessages } from "./messages.js";
import { modelLabel } from "./models.js";
import { notice } from "./notices.js";
import { setHidden, setText } from "./parts.js";
import { connect } from "./socket.js";
import { running } from "./state/selectors.js";
import { createStore } from "./store.js";

const SYNC_WHEN_SILENT_MS = 15_000;

const { token } = document.body.dataset;
const store = createStore();

showMessages({ store, modelLabel, loadOlder: (before) => api.olderShared(token, before) });
announce({ store, modelLabel });
showConnection({
  store,
  reasons: { 4403: "This session is no longer shared.", 4404: "This link doesn’t work any more." },
  reassurance: "",
});

const title = document.querySelector("[data-title]");
const readers = document.querySelector("[data-readers]");
store.paint((state) => {
  if (!state.session || state.connection === "gone") return;
  setText(title, state.session.title);
  document.title = `${state.session.title} · Parley`;
  setText(readers, state.readers > 1 ? `You are reading along, with ${state.readers - 1} other${state.readers > 2 ? "s" : ""}` : "You are reading along");
});

store.watch((state, before) => {
  if (state.connection !== "gone" || before.connection === "gone") return;
  document.querySelector("[data-messages]").remove(); // what is drawn after this is drawn on nothing
  for (const part of [title, document.querySelector("[data-announcer]")]) part.replaceChildren();
  setHidden(document.querySelector("[data-thread]"), true);
  setHidden(document.querySelector("[data-to-bottom]"), true);
  setHidden(document.querySelector("[data-over]"), false);
  setText(readers, "");
  document.title = "Parley";
});

const line = connect({
  url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/shared/${encodeURIComponent(token)}/`,
  onFrame: (frame) => (frame.type === "error" ? notice(frame.detail) : store.dispatch(frame)),
  onStatus: (status, code) => store.dispatch({ type: "connection", status, code }),
});

let silentSyncAt = 0;
store.watch((state) => state.stale && line.sync());
setInterval(() => {
  const { state } = store;
  if (state.connection === "gone") return;
  const now = Date.now();
  const answer = running(state);
  if (answer && isSilent(answer, now) && now - silentSyncAt > SYNC_WHEN_SILENT_MS) {
    silentSyncAt = now;
    line.sync();
  }
  if (answer && !document.hidden) store.repaint();
  if (state.stale) line.sync();
}, 1_000);
document.addEventListener("visibilitychange", () => document.hidden || line.check());
addEventListener("online", () => line.check());
addEventListener("offline", () => line.lostNetwork());
addEventListener("pageshow", (event) => event.persisted && line.check());
