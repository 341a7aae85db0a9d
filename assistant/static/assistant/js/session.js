/** The page of one session: puts the parts together. */

import { announce } from "./announcer.js";
import { api } from "./api.js";
import { showBusy } from "./busy.js";
import { completeNames } from "./completion.js";
import { showComposer } from "./composer.js";
import { showConnection } from "./connection.js";
import { draftsIn, sweepDrafts } from "./drafts.js";
import { nameMarker } from "./marking.js";
import { ASSISTANT, mentions, namesOf } from "./mentions.js";
import { isSilent } from "./message.js";
import { showMessages } from "./messages.js";
import { loadModels, modelLabel, showModel } from "./models.js";
import { orNotice } from "./notices.js";
import { keepMessages } from "./keeping.js";
import { createOutbox } from "./outbox.js";
import { storage } from "./storage.js";
import { setText } from "./parts.js";
import { showPeople } from "./people.js";
import { keepRead } from "./reading.js";
import { showResources } from "./resources.js";
import { showQueue } from "./queue.js";
import { showSettings } from "./settings.js";
import { showShell } from "./shell.js";
import { showSidebar } from "./sidebar.js";
import { connect } from "./socket.js";
import { mayWrite, running } from "./state/selectors.js";
import { showSessionUsage } from "./usage.js";
import { createStore } from "./store.js";

const SYNC_WHEN_SILENT_MS = 15_000;
const GO_ON = "Go on."; // after an answer that was cut

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

let busy = null; // drawn once the composer is there
const composer = showComposer({
  drafts,
  sessionId,
  maxLength: Number(maxLength),
  send(text, attachments) {
    outbox.send(text, busy.take(), attachments);
    messages.toEnd();
  },
  changed: () => busy?.draw(),
  typing: (active) => line.send({ type: "typing", active }),
  stop: () => stop(),
});
outbox.onTakeBack = composer.offer;

const label = () => modelLabel(store.state.session?.model);
const asks = (text) => store.state.session?.replies !== "mention" || mentions(text, [ASSISTANT, label()]);
busy = showBusy({ store, isQuestion: () => asks(composer.text()) });
completeNames({
  field: composer.field,
  people: () => [
    { name: ASSISTANT, note: label() },
    ...store.state.participants.filter(({ id }) => id !== store.state.you?.id).map(({ name, color }) => ({ name, hue: color })),
  ],
});

const sidebar = showSidebar({
  current: sessionId,
  sessionUrl: (id) => sessionUrl.replace(sessionId, id),
  onChanged: (session) => session.id === sessionId && store.dispatch({ type: "session.updated", session }),
});

// --- what is shown ---

const markNames = nameMarker(() => ({
  all: [label(), ...store.state.participants.flatMap(namesOf)],
  own: store.state.you ? namesOf(store.state.you) : [],
}));
const keep = keepMessages({ store, sessionId, sessionUrl: (id) => sessionUrl.replace(sessionId, id) });
const messages = showMessages({
  keep,
  store,
  modelLabel,
  loadOlder: (before) => api.older(sessionId, before),
  markNames,
  outbox,
  stop,
  goOn() {
    outbox.send(asks(GO_ON) ? GO_ON : `@${ASSISTANT} ${GO_ON}`);
    messages.toEnd();
  },
});
showQueue({ store, sessionId, putBack: composer.offer });
showSessionUsage({ sessionId });
showSettings({ store, sessionId });
showResources({ store, sessionId, attach: composer.attach });
showPeople({ store, sessionId });
showConnection({ store });
keepRead({ store, sessionId });
announce({ store, modelLabel });
showShell({
  focusComposer: composer.focus,
  keys: {
    j: () => messages.step(1),
    k: () => messages.step(-1),
    g: () => messages.toEnd(),
    s: () => mayWrite(store.state) && stop(),
    ",": () => document.getElementById("settings-sheet").showModal(),
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
  const mark = unread ? `(${unread}) ` : "";
  document.title = `${mark}${state.session.title} · Parley`;
  composer.setRunning(Boolean(running(state)) && mayWrite(state));
  document.querySelector("[data-composer]").hidden = !mayWrite(state);
  document.querySelector("[data-reading-only]").hidden = mayWrite(state);
  const waits = state.session.replies === "mention";
  composer.field.placeholder = waits ? "Say something, or ask @assistant…" : "Ask, or say something…";
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
  }
});

// --- the live connection, and what heals it ---

const line = connect({
  url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/sessions/${sessionId}/`,
  onFrame: (frame) => {
    const isFirst = frame.type === "session.snapshot" && !store.state.ready;
    store.dispatch(frame);
    if (isFirst) keep.jump();
    if (isFirst) outbox.restore();
    else if (frame.type === "session.snapshot") outbox.retryAll();
  },
  onStatus: (status, code) => store.dispatch({ type: "connection", status, code }),
});

store.watch((state, before) => {
  if (state.connection === "gone" && before.connection !== "gone") composer.close();
});
addEventListener("signedout", (event) => {
  event.preventDefault();
  line.close();
  store.dispatch({ type: "connection", status: "gone", code: 4401 });
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
