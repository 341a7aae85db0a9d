/** The page of one session: puts the parts together. */

import { announce } from "./announcer.js";
import { api } from "./api.js";
import { showComposer } from "./composer.js";
import { showConnection } from "./connection.js";
import { draftsIn, sweepDrafts } from "./drafts.js";
import { isSilent } from "./message.js";
import { showMessages } from "./messages.js";
import { loadModels, modelLabel, showModel } from "./models.js";
import { orNotice } from "./notices.js";
import { createOutbox } from "./outbox.js";
import { storage } from "./storage.js";
import { setText } from "./parts.js";
import { showPeople } from "./people.js";
import { showQueue } from "./queue.js";
import { showShell } from "./shell.js";
import { showSidebar } from "./sidebar.js";
import { connect } from "./socket.js";
import { mayWrite, pausedFor, running } from "./state.js";
import { createStore } from "./store.js";

const SYNC_WHEN_SILENT_MS = 15_000;

const { sessionId, sessionUrl, maxLength } = document.body.dataset;
const store = createStore();
const drafts = draftsIn(storage, sessionId);
const outbox = createOutbox({ store, drafts, sessionId });

// --- what one can do ---

async function stop(message = running(store.state)) {
  if (!message) return null;
  const stopped = await orNotice(() => api.cancel(message.id));
  if (stopped) store.dispatch({ type: "message.updated", message: stopped });
  return stopped;
}

const composer = showComposer({
  drafts,
  maxLength: Number(maxLength),
  send(text) {
    outbox.send(text);
    messages.toEnd();
  },
  typing: (active) => line.send({ type: "typing", active }),
  stop: () => stop(),
});
outbox.onTakeBack = composer.offer;

const sidebar = showSidebar({
  current: sessionId,
  sessionUrl: (id) => sessionUrl.replace(sessionId, id),
  onChanged: (session) => session.id === sessionId && store.dispatch({ type: "session.updated", session }),
});

// --- what is shown ---

const messages = showMessages({
  store,
  modelLabel,
  loadOlder: (before) => api.older(sessionId, before),
  outbox,
  stop,
});
showQueue({ store, sessionId });
showPeople({ store, sessionId });
showConnection({ store });
announce({ store, modelLabel });
showShell({
  focusComposer: composer.focus,
  keys: {
    j: () => messages.step(1),
    k: () => messages.step(-1),
    g: () => messages.toEnd(),
    s: () => mayWrite(store.state) && stop(),
    p: () => document.getElementById("people-sheet").showModal(),
  },
});

const title = document.querySelector("[data-title]");
const drawModel = showModel({
  chosen: () => store.state.session?.model,
  mayChoose: () => mayWrite(store.state),
  async onChoose(model) {
    store.dispatch({ type: "session.updated", session: await api.changeSession(sessionId, { model }) });
  },
});
store.paint((state) => {
  if (!state.session) return;
  setText(title, state.session.title);
  document.title = `${unread ? `(${unread}) ` : ""}${state.session.title} · Parley`;
  composer.setRunning(Boolean(running(state)) && mayWrite(state));
  document.querySelector("[data-composer]").hidden = !mayWrite(state);
  document.querySelector("[data-reading-only]").hidden = mayWrite(state);
  drawModel();
});
document.querySelector("[data-menu-open]").addEventListener("click", (event) => {
  const { title: name, role } = store.state.session ?? { title: title.textContent, role: null };
  sidebar.openMenu(event.currentTarget, { id: sessionId, title: name, role: store.state.you?.role ?? role });
});

let unread = 0; // answers that came while the page was out of sight
store.watch((state, before, event) => {
  if (running(before) && !running(state)) {
    if (document.hidden && event.type === "message.updated") unread += 1;
    sidebar.refresh();
  }
  if (before.session && state.session.title !== before.session.title) sidebar.refresh();
});

// --- the live connection, and what heals it ---

const line = connect({
  url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/sessions/${sessionId}/`,
  onFrame: (frame) => {
    const isFirst = frame.type === "session.snapshot" && !store.state.ready;
    store.dispatch(frame);
    if (isFirst) outbox.restore();
    else if (frame.type === "session.snapshot") outbox.retryAll();
  },
  onStatus: (status, code) => store.dispatch({ type: "connection", status, code }),
});

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
}, 1_000);

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  line.check();
  store.repaint();
});
addEventListener("focus", () => line.check());
addEventListener("online", () => line.check());
addEventListener("offline", () => line.lostNetwork());
addEventListener("pageshow", (event) => event.persisted && line.check());

loadModels().then(() => store.repaint());
sweepDrafts(storage);
if (matchMedia("(pointer: fine)").matches) composer.focus();
