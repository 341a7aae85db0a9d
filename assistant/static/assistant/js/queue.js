// @ts-check
/** Messages that wait while an answer is being written: who wrote them, in which order, and what one can do with them. */

import { api } from "./api.js";
import { orNotice } from "./notices.js";
import { clone, fieldOf, near, one, part, setHidden, setText } from "./parts.js";
import { reconcile } from "./reconcile.js";
import { hueOf, mayMove, mayWrite, pausedFor, placeBefore, queued } from "./state/selectors.js";

/** @import { Attachment } from "parley/api" */
/** @import { Held } from "./state/merging.js" */
/** @import { State } from "./state/reducer.js" */
/** @import { Store } from "./store.js" */

/**
 * putBack(text, attachments) offers a withdrawn message to the composer.
 * @param {{ store: Store, sessionId: string, putBack: (text: string, attachments: Attachment[]) => void }} options
 */
export function showQueue({ store, sessionId, putBack }) {
  const section = one(document, "[data-queue]");
  const title = one(section, "[data-queue-title]");
  const list = one(section, "ol");
  const said = one(section, "[data-queue-said]");
  const paused = one(document, "[data-queue-paused]");
  /** @type {Map<string, HTMLLIElement>} */
  const elements = new Map();
  /** @type {{ id: string, name: "up" | "down" } | null} */
  let moved = null; // the button that keeps the focus when its message moves

  store.paint((state) => {
    const waiting = queued(state);
    setHidden(section, !waiting.length);
    setText(title, waiting.length === 1 ? "1 message waits" : `${waiting.length} messages wait`);
    drawPause(state);
    reconcile(list, waiting, {
      elements,
      key: (message) => message.id,
      make: () => clone("queued-template"),
      draw: (element, message) => drawWaiting(element, message, state, waiting),
    });
    if (moved && !list.contains(document.activeElement)) focusAgain();
  });

  /** @param {State} state */
  function drawPause(state) {
    const seconds = pausedFor(state, Date.now());
    setHidden(paused, !seconds);
    const why = state.session?.queue_paused_for?.detail ?? "";
    if (seconds) {
      setText(part(paused, "text"), `The last answer failed, so the queue rests. ${why}`.trim());
      setText(part(paused, "left"), `It goes on by itself in ${seconds} s.`);
    }
    setHidden(part(paused, "resume"), !mayWrite(state));
  }

  /**
   * @param {HTMLElement} element
   * @param {Held} message
   * @param {State} state
   * @param {Held[]} waiting
   */
  function drawWaiting(element, message, state, waiting) {
    setText(part(element, "author"), message.author?.name ?? "Someone");
    if (message.author) part(element, "author").style.setProperty("--hue", String(hueOf(state, message.author.id)));
    const files = (message.attachments ?? []).map(({ name }) => name).join(", ");
    setText(part(element, "text"), [message.content, files && `Files: ${files}`].filter(Boolean).join(" · "));
    setHidden(part(element, "steers"), message.when !== "steer");
    const isOwn = message.author?.id === state.you?.id && mayWrite(state);
    const mayBeMoved = mayMove(state, message) && waiting.length > 1;
    const index = waiting.indexOf(message);
    for (const name of /** @type {const} */ (["edit", "withdraw"])) setHidden(part(element, name), !isOwn);
    for (const name of /** @type {const} */ (["up", "down"])) setHidden(part(element, name), !mayBeMoved);
    part(element, "up").disabled = index === 0;
    part(element, "down").disabled = index === waiting.length - 1;
    setHidden(part(element, "actions"), !mayWrite(state));
  }

  /** Where a button is moved in the page, or can't go further, the browser drops its focus. */
  function focusAgain() {
    const element = moved && elements.get(moved.id);
    if (moved && element) {
      const button = part(element, moved.name);
      (button.disabled ? part(element, moved.name === "up" ? "down" : "up") : button).focus();
    }
    moved = null;
  }

  part(paused, "resume").addEventListener("click", () => orNotice(() => api.resume(sessionId)));

  /** @type {Record<string, (message: Held, element: HTMLElement) => void>} */
  const actions = {
    edit: (message, element) => edit(element, message),
    keep: (_, element) => edit(element, null),
    up: (message) => move(message, -1),
    down: (message) => move(message, 1),
    async withdraw(message) {
      const withdrawn = await orNotice(() => api.withdraw(message.id));
      if (!withdrawn) return;
      store.dispatch({ type: "ui.changed", message: { ...message, ...withdrawn, status: "cancelled" } });
      putBack(message.content, message.attachments);
    },
    async "send-now"(message) {
      const sent = await orNotice(() => api.sendNow(message.id));
      if (sent) store.dispatch({ type: "ui.anew", messages: [sent.message, sent.reply] });
    },
  };

  list.addEventListener("click", (event) => {
    const button = near(event, "[data-do]");
    const [message, element] = waitingAt(event);
    if (button && message && element) actions[button.dataset.do ?? ""]?.(message, element);
  });

  /**
   * The message where something happened, and its element.
   * @param {Event} event
   */
  function waitingAt(event) {
    const element = near(event, ".queued");
    return /** @type {const} */ ([queued(store.state).find(({ id }) => elements.get(id) === element), element]);
  }

  /**
   * @param {Held} message
   * @param {-1 | 1} by
   */
  async function move(message, by) {
    const before = placeBefore(store.state, message, by);
    if (before === undefined) return;
    moved = { id: message.id, name: by < 0 ? "up" : "down" };
    // The answer may come before the frames that tell how all stand now.
    const waiting = queued(store.state);
    const place = waiting.findIndex(({ id }) => id === message.id) + 1 + by;
    const done = await orNotice(() => api.move(message.id, before));
    if (done) setText(said, `Moved. It is number ${place} of ${waiting.length} now.`);
  }

  /**
   * @param {HTMLElement} element
   * @param {Held | null} message null: it is shown again
   */
  function edit(element, message) {
    const form = part(element, "form");
    setHidden(form, !message);
    setHidden(part(element, "text"), Boolean(message));
    if (!message) return part(element, "edit").focus();
    const field = fieldOf(form, "content");
    field.value = message.content;
    return field.focus();
  }

  list.addEventListener("keydown", (event) => {
    const form = near(event, "form");
    const element = near(event, ".queued");
    if (!form || !element) return;
    if (event.key === "Escape") edit(element, null);
    // In the text: on a button Enter does what that is for.
    if (event.key === "Enter" && near(event, "textarea") && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  list.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [message, element] = waitingAt(event);
    const content = element && fieldOf(part(element, "form"), "content").value.trim();
    if (!message || !content) return;
    const changed = await orNotice(() => api.edit(message.id, content));
    if (!changed) return;
    store.dispatch({ type: "ui.changed", message: changed });
    edit(element, null);
  });
}
