/** Messages that wait while an answer is being written: who wrote them, in which order, and what one can do with them. */

import { api } from "./api.js";
import { orNotice } from "./notices.js";
import { clone, part, reconcile, setHidden, setText } from "./parts.js";
import { hueOf, mayMove, mayWrite, pausedFor, placeBefore, queued } from "./state/selectors.js";

/** putBack(text, attachments) offers a withdrawn message to the composer. */
export function showQueue({ store, sessionId, putBack }) {
  const section = document.querySelector("[data-queue]");
  const title = section.querySelector("[data-queue-title]");
  const list = section.querySelector("ol");
  const said = section.querySelector("[data-queue-said]");
  const paused = document.querySelector("[data-queue-paused]");
  const elements = new Map();
  let moved = null; // {id, name}: the button that keeps the focus when its message moves

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

  function drawWaiting(element, message, state, waiting) {
    setText(part(element, "author"), message.author?.name ?? "Someone");
    if (message.author) part(element, "author").style.setProperty("--hue", hueOf(state, message.author.id));
    const files = (message.attachments ?? []).map(({ name }) => name).join(", ");
    setText(part(element, "text"), [message.content, files && `Files: ${files}`].filter(Boolean).join(" · "));
    setHidden(part(element, "steers"), message.when !== "steer");
    const isOwn = message.author?.id === state.you?.id && mayWrite(state);
    const mayBeMoved = mayMove(state, message) && waiting.length > 1;
    const index = waiting.indexOf(message);
    for (const name of ["edit", "withdraw"]) setHidden(part(element, name), !isOwn);
    for (const name of ["up", "down"]) setHidden(part(element, name), !mayBeMoved);
    part(element, "up").disabled = index === 0;
    part(element, "down").disabled = index === waiting.length - 1;
    setHidden(part(element, "actions"), !mayWrite(state));
  }

  /** Where a button is moved in the page, or can't go further, the browser drops its focus. */
  function focusAgain() {
    const element = elements.get(moved.id);
    const button = element && part(element, moved.name);
    const other = element && part(element, moved.name === "up" ? "down" : "up");
    (button && !button.disabled ? button : other)?.focus();
    moved = null;
  }

  part(paused, "resume").addEventListener("click", () => orNotice(() => api.resume(sessionId)));

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
      if (sent) for (const changed of [sent.message, sent.reply]) store.dispatch({ type: "ui.changed", message: changed });
    },
  };

  list.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (!button) return;
    const element = button.closest(".queued");
    const message = queued(store.state).find(({ id }) => elements.get(id) === element);
    if (message) actions[button.dataset.do]?.(message, element);
  });

  async function move(message, by) {
    const before = placeBefore(store.state, message, by);
    if (before === undefined) return;
    moved = { id: message.id, name: by < 0 ? "up" : "down" };
    const done = await orNotice(() => api.move(message.id, before));
    if (!done) return;
    const place = queued(store.state).findIndex(({ id }) => id === message.id) + 1;
    setText(said, `Moved. It is number ${place} of ${queued(store.state).length} now.`);
  }

  function edit(element, message) {
    const form = part(element, "form");
    setHidden(form, !message);
    setHidden(part(element, "text"), Boolean(message));
    if (!message) return part(element, "edit").focus();
    form.elements.content.value = message.content;
    return form.elements.content.focus();
  }

  list.addEventListener("keydown", (event) => {
    const form = event.target.closest("form");
    if (!form) return;
    if (event.key === "Escape") edit(form.closest(".queued"), null);
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  list.addEventListener("submit", async (event) => {
    event.preventDefault();
    const element = event.target.closest(".queued");
    const message = queued(store.state).find(({ id }) => elements.get(id) === element);
    const content = event.target.elements.content.value.trim();
    if (!message || !content) return;
    const changed = await orNotice(() => api.edit(message.id, content));
    if (!changed) return;
    store.dispatch({ type: "ui.changed", message: changed });
    edit(element, null);
  });
}
