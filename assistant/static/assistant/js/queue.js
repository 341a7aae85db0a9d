/** Messages that wait while an answer is being written: who wrote them, and for one's own Edit and Withdraw. */

import { api } from "./api.js";
import { orNotice } from "./notices.js";
import { clone, part, reconcile, setHidden, setText } from "./parts.js";
import { hueOf, mayWrite, pausedFor, queued } from "./state.js";

export function showQueue({ store, sessionId }) {
  const section = document.querySelector("[data-queue]");
  const title = section.querySelector("[data-queue-title]");
  const list = section.querySelector("ol");
  const paused = document.querySelector("[data-queue-paused]");
  const elements = new Map();

  store.paint((state) => {
    const waiting = queued(state);
    setHidden(section, !waiting.length);
    setText(title, waiting.length === 1 ? "1 message waits" : `${waiting.length} messages wait`);
    const seconds = pausedFor(state, Date.now());
    setHidden(paused, !seconds);
    if (seconds) setText(part(paused, "text"), `The last answer failed, so the queue rests. It goes on by itself in ${seconds} s.`);
    setHidden(part(paused, "resume"), !mayWrite(state));
    reconcile(list, waiting, {
      elements,
      key: (message) => message.id,
      make: () => clone("queued-template"),
      draw(element, message) {
        setText(part(element, "author"), message.author?.name ?? "Someone");
        if (message.author) part(element, "author").style.setProperty("--hue", hueOf(state, message.author.id));
        setText(part(element, "text"), message.content);
        setHidden(part(element, "actions"), message.author?.id !== state.you?.id || !mayWrite(state));
      },
    });
  });

  part(paused, "resume").addEventListener("click", () => orNotice(() => api.resume(sessionId)));

  list.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-do]");
    if (!button) return;
    const element = button.closest(".queued");
    const message = queued(store.state).find(({ id }) => elements.get(id) === element);
    if (!message) return;
    if (button.dataset.do === "edit") edit(element, message);
    if (button.dataset.do === "keep") edit(element, null);
    if (button.dataset.do === "withdraw") {
      const withdrawn = await orNotice(() => api.withdraw(message.id));
      if (withdrawn) store.dispatch({ type: "ui.changed", message: { ...message, ...withdrawn, status: "cancelled" } });
    }
  });

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
