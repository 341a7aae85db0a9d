// @ts-check
/** The page of somebody who reads along by a link: the conversation, live, and nothing to do in it. */

import { socketAddress } from "./addresses.js";
import { announce } from "./announcer.js";
import { api } from "./api.js";
import { showConnection } from "./connection.js";
import { showMessages } from "./messages.js";
import { modelLabel } from "./models.js";
import { notice } from "./notices.js";
import { one, setHidden, setText } from "./parts.js";
import { connect } from "./socket.js";
import { createStore } from "./store.js";
import { keepInSync } from "./syncing.js";

/** @import { Frame } from "parley/frames" */
/** @import { PageData } from "parley/markup" */

const { token } = /** @type {PageData} */ (document.body.dataset);
const store = createStore();

showMessages({ store, modelLabel, loadOlder: (before) => api.olderShared(token, before) });
announce({ store, modelLabel });
showConnection({
  store,
  reasons: { 4403: "This session is no longer shared.", 4404: "This link doesn’t work any more." },
  reassurance: "",
});

const title = one(document, "[data-title]");
const readers = one(document, "[data-readers]");
store.paint((state) => {
  if (!state.session || state.connection === "gone") return;
  setText(title, state.session.title);
  document.title = `${state.session.title} · Parley`;
  setText(readers, state.readers > 1 ? `You are reading along, with ${state.readers - 1} other${state.readers > 2 ? "s" : ""}` : "You are reading along");
});

store.watch((state, before) => {
  if (state.connection !== "gone" || before.connection === "gone") return;
  one(document, "[data-messages]").remove(); // what is drawn after this is drawn on nothing
  for (const part of [title, one(document, "[data-announcer]")]) part.replaceChildren();
  setHidden(one(document, "[data-thread]"), true);
  setHidden(one(document, "[data-to-bottom]"), true);
  setHidden(one(document, "[data-over]"), false);
  setText(readers, "");
  document.title = "Parley";
});

const line = connect({
  url: socketAddress(`shared/${encodeURIComponent(token)}/`),
  onFrame: (/** @type {Frame & { at: number }} */ frame) => (frame.type === "error" ? notice(frame.detail) : store.dispatch(frame)),
  onStatus: (status, code) => store.dispatch({ type: "connection", status, code }),
});

keepInSync(store, line);
