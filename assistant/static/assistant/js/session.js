// @ts-check
/** The page of one session: puts the parts together. */

import { socketAddress } from "./addresses.js";
import { announce } from "./announcer.js";
import { api } from "./api.js";
import { showBusy } from "./busy.js";
import { completeNames } from "./completion.js";
import { showComposer } from "./composer.js";
import { showConnection } from "./connection.js";
import { draftsIn, sweepDrafts } from "./drafts.js";
import { keepMessages } from "./keeping.js";
import { nameMarker } from "./marking.js";
import { ASSISTANT, mentions, namesOf } from "./mentions.js";
import { showMessages } from "./messages.js";
import { loadModels, modelLabel, showModel } from "./models.js";
import { orNotice } from "./notices.js";
import { createOutbox } from "./outbox.js";
import { storage } from "./storage.js";
import { byId, one, setText } from "./parts.js";
import { showPeople } from "./people.js";
import { keepRead } from "./reading.js";
import { showQueue } from "./queue.js";
import { later, onOpen } from "./sheets.js";
import { showShell } from "./shell.js";
import { showSidebar } from "./sidebar.js";
import { connect } from "./socket.js";
import { mayWrite, running } from "./state/selectors.js";
import { createStore } from "./store.js";
import { keepInSync } from "./syncing.js";
import { showSessionUsage } from "./usage.js";

/** @import { Frame } from "parley/frames" */
/** @import { PageData } from "parley/markup" */
/** @import { Held } from "./state/merging.js" */

const GO_ON = "Go on."; // after an answer that was cut

const { sessionId, sessionUrl, maxLength } = /** @type {PageData} */ (document.body.dataset);
const urlOf = (/** @type {string} */ id) => sessionUrl.replace(sessionId, id);
const store = createStore();
const drafts = draftsIn(storage, sessionId);
const outbox = createOutbox({ store, drafts, sessionId, takeBack: (text, files) => composer.offer(text, files) });

// --- what one can do ---

/** @param {Held | null} message */
async function stop(message) {
  if (!message) return null;
  const stopped = await orNotice(() => api.cancel(message.id));
  if (stopped) store.dispatch({ type: "message.updated", message: stopped });
  return stopped;
}

/** @type {ReturnType<typeof showBusy> | null} */
let busy = null; // drawn once the composer is there
const composer = showComposer({
  drafts,
  sessionId,
  maxLength: Number(maxLength),
  send(text, attachments) {
    outbox.send(text, busy?.take(), attachments);
    messages.toEnd();
  },
  changed: () => busy?.draw(),
  typing: (active) => line.send({ type: "typing", active }),
  stop: () => stop(running(store.state)),
});

const label = () => modelLabel(store.state.session?.model);
const asks = (/** @type {string} */ text) => store.state.session?.replies !== "mention" || mentions(text, [ASSISTANT, label()]);
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
  sessionUrl: urlOf,
  onChanged: (session) => session.id === sessionId && store.dispatch({ type: "session.updated", session }),
});

// --- what is shown ---

const markNames = nameMarker(() => ({
  all: [label(), ...store.state.participants.flatMap(namesOf)],
  own: store.state.you ? namesOf(store.state.you) : [],
}));
const keep = keepMessages({ store, sessionId, sessionUrl: urlOf });
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
showSessionUsage(sessionId);

const settings = later(async () => (await import("./settings.js")).showSettings({ store, sessionId }));
onOpen(byId("settings-sheet"), () => orNotice(settings));
const resources = later(async () => (await import("./resources.js")).showResources({ store, sessionId, attach: composer.attach }));
store.watch(({ session }, before) => {
  if (session?.services === before.session?.services || !document.querySelector("[data-resources]")) return; // files are switched off
  if (session?.services?.length) orNotice(resources);
});

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
    s: () => mayWrite(store.state) && stop(running(store.state)),
    ",": () => byId("settings-sheet").showModal(),
    p: () => byId("people-sheet").showModal(),
  },
});

const title = one(document, "[data-title]");
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
  one(document, "[data-composer]").hidden = !mayWrite(state);
  one(document, "[data-reading-only]").hidden = mayWrite(state);
  const waits = state.session.replies === "mention";
  composer.field.placeholder = waits ? "Say something, or ask @assistant…" : "Ask, or say something…";
  drawModel();
});
const menuOpener = one(document, "[data-menu-open]");
menuOpener.addEventListener("click", () => {
  const { title: name, role } = store.state.session ?? { title: title.textContent ?? "", role: null };
  sidebar.openMenu(menuOpener, { id: sessionId, title: name, role: store.state.you?.role ?? role });
});

let unread = 0; // answers that came while the page was out of sight
store.watch((state, before, event) => {
  if (running(before) && !running(state)) {
    if (document.hidden && event.type === "message.updated") unread += 1;
  }
});

// --- the live connection, and what heals it ---

const line = connect({
  url: socketAddress(`sessions/${sessionId}/`),
  onFrame: (/** @type {Frame & { at: number }} */ frame) => {
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

keepInSync(store, line);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  store.repaint();
});

loadModels().then(() => store.repaint());
sweepDrafts(storage);
if (matchMedia("(pointer: fine)").matches) composer.focus();
