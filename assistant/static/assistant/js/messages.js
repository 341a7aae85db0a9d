/** The thread: draws the conversation, loads older parts of it, and carries out what is asked of a message. */

import { api } from "./api.js";
import { copyCode, drawMessage, makeMessage } from "./message.js";
import { notice, orNotice } from "./notices.js";
import { copyText, flash, part, reconcile, setHidden } from "./parts.js";
import { keepPlace } from "./scroll.js";
import { hueOf, mayWrite, oldest, questionOf, running, thread } from "./state.js";

const LOAD_OLDER_WITHIN_PX = 600;

export function showMessages({ store, sessionId, modelLabel, outbox, stop }) {
  const box = document.querySelector("[data-thread]");
  const list = document.querySelector("[data-messages]");
  const older = document.querySelector("[data-older]");
  const welcome = document.querySelector("[data-welcome]");
  const place = keepPlace({ box, content: list, button: document.querySelector("[data-to-bottom]") });
  const elements = new Map();
  let entries = [];
  let firstId = null;
  let lastText = "";
  let isLoading = false;

  store.paint((state) => {
    entries = [...thread(state), ...state.outbox.map((entry) => ({ message: unsent(state, entry), versions: null }))];
    const first = entries[0]?.message.id ?? null;
    if (firstId && first !== firstId) place.above(draw);
    else draw();
    firstId = first;
    setHidden(welcome, !state.ready || entries.length > 0);
    setHidden(older, !state.hasMore);
    const last = entries.at(-1)?.message;
    const text = `${last?.id} ${last?.content.length} ${last?.status}`;
    if (lastText && text !== lastText) place.grew();
    lastText = text;

    function draw() {
      const now = Date.now();
      const isBusy = Boolean(running(state));
      const may = mayWrite(state);
      reconcile(list, entries, {
        elements,
        key: ({ message }) => message.id,
        make: makeMessage,
        draw: (element, entry) => {
          const { message } = entry;
          const isAnswer = message.role === "assistant";
          drawMessage(element, entry, {
            now,
            isBusy,
            mayWrite: may,
            isLast: entry === entries[entries.length - 1],
            author: isAnswer ? modelLabel(message.model) : (message.author?.name ?? "Someone"),
            hue: isAnswer || !message.author ? null : hueOf(state, message.author.id),
            modelLabel: modelLabel(message.model),
            askedBy: isAnswer ? (questionOf(state, message)?.author?.name ?? "") : "",
          });
        },
      });
    }
  });

  async function loadOlder() {
    const before = oldest(store.state);
    if (isLoading || !store.state.hasMore || !before) return;
    isLoading = true;
    try {
      const page = await api.older(sessionId, before);
      store.dispatch({ type: "ui.older", messages: page.messages, has_more: page.has_more });
    } catch (error) {
      notice(error.message);
    } finally {
      setTimeout(() => (isLoading = false), 300);
    }
  }

  older.addEventListener("click", loadOlder);
  box.addEventListener("scroll", () => box.scrollTop < LOAD_OLDER_WITHIN_PX && loadOlder(), { passive: true });

  list.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (!button) return;
    const element = button.closest(".message");
    const entry = entries.find(({ message }) => elements.get(message.id) === element);
    if (entry) actions[button.dataset.do]?.(entry, button, element);
  });

  const actions = {
    "copy-code": (_, button) => copyCode(button),
    copy: async ({ message }, button) => flash(button, (await copyText(message.content)) ? "Copied" : "Could not copy"),
    retry: ({ message }) => again(message),
    stop: ({ message }) => stop(message),
    "stop-and-retry": async ({ message }) => {
      if (await stop(message)) await again(message);
    },
    "version-before": (entry, _, element) => turn(entry, -1, element),
    "version-after": (entry, _, element) => turn(entry, 1, element),
    "send-again": ({ message }) => outbox.again(message.outbox),
    "edit-unsent": ({ message }) => outbox.takeBack(message.outbox),
    discard: ({ message }) => outbox.discard(message.outbox),
  };

  async function again(message) {
    const answer = await orNotice(() => api.retry(message.id));
    if (answer) store.dispatch({ type: "message.created", message: answer.reply });
  }

  function turn({ message, versions }, by, element) {
    const next = versions[versions.indexOf(message) + by];
    if (!next) return;
    const hadFocus = element.contains(document.activeElement);
    store.dispatch({ type: "ui.version", question: message.reply_to, reply: next.id });
    store.repaint();
    const shown = elements.get(next.id);
    if (!hadFocus || !shown) return;
    const same = part(shown, by < 0 ? "version-before" : "version-after");
    (same.disabled ? part(shown, by < 0 ? "version-after" : "version-before") : same).focus();
  }

  /** Moves the focus to the next (1) or the previous (-1) message; from outside of them to the newest. */
  function step(by) {
    const all = [...list.children];
    const at = all.indexOf(document.activeElement?.closest(".message"));
    const next = at < 0 ? all.at(-1) : all[at + by];
    if (!next) return;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }

  return { toEnd: place.toEnd, step };
}

/** A message that the server doesn't have yet, in the shape of one. */
function unsent(state, entry) {
  return {
    id: `unsent-${entry.client_id}`,
    role: "user",
    author: state.you,
    content: entry.content,
    html: [],
    status: "unsent",
    created_at: new Date(entry.created_at).toISOString(),
    outbox: entry,
  };
}
