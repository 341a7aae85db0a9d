/** The thread: draws the conversation, loads older parts of it, and carries out what is asked of a message. */

import { api } from "./api.js";
import { summaryAt } from "./asides.js";
import { copyCode, drawMessage, makeMessage, toggleUsage } from "./message.js";
import { labels } from "./models.js";
import { notice, orNotice } from "./notices.js";
import { clone, copyText, flash, part, reconcile, setHidden } from "./parts.js";
import { keepPlace } from "./scroll.js";
import { givenIn } from "./toolforms.js";
import { hueOf, isCutOff, isOpen, joinedIn, mayWrite, oldest, questionOf, running } from "./state/selectors.js";
import { stretchesOf, thread } from "./state/thread.js";

const LOAD_OLDER_WITHIN_PX = 600;

/**
 * loadOlder(id) resolves to a page of what stands before that message. Who only reads has no `outbox`, no `stop`, and
 * nothing to `keep` (keeping.js).
 */
export function showMessages({ store, modelLabel, loadOlder, markNames = null, outbox = null, keep = null, stop = () => {}, goOn = () => {} }) {
  const box = document.querySelector("[data-thread]");
  const list = document.querySelector("[data-messages]");
  const older = document.querySelector("[data-older]");
  const welcome = document.querySelector("[data-welcome]");
  const place = keepPlace({ box, content: list, button: document.querySelector("[data-to-bottom]"), find: standingAt });
  const elements = new Map();
  const stretches = new Map(); // number -> the list of its messages
  let entries = [];
  let epoch = []; // what each message's look depends on besides itself
  let last = null; // {id, length, status} of the newest message
  let isLoading = false;

  store.paint((state) => {
    const before = entries;
    entries = thread(state);
    if (state.outbox.length) entries = [...entries, ...state.outbox.map((entry) => ({ message: unsent(state, entry), versions: null }))];
    draw(state, before);
    setHidden(welcome, !state.ready || entries.length > 0);
    setHidden(older, !state.hasMore);
    list.classList.toggle("is-busy", Boolean(running(state)));
    tellGrowth(before);
  });

  function draw(state, before) {
    const now = Date.now();
    const may = mayWrite(state);
    const epochBefore = epoch;
    epoch = [may, state.participants, state.summaries, labels()];
    const all = epoch.some((part, index) => part !== epochBefore[index]);
    const newest = entries.length - 1;
    const drawOne = (element, entry, index) => {
      const { message } = entry;
      if (message.gap) return;
      const isAnswer = message.role === "assistant";
      const label = isAnswer ? (message.model_label ?? modelLabel(message.model)) : "";
      drawMessage(element, entry, {
        now,
        isCutOff: isCutOff(state, now),
        mayWrite: may,
        isLast: index === newest,
        isKept: Boolean(keep),
        mayResend: Boolean(keep?.mayResend(state, message)),
        author: isAnswer ? label : (message.author?.name ?? "Someone"),
        markNames: isAnswer ? null : markNames,
        hue: isAnswer || !message.author ? null : hueOf(state, message.author.id),
        modelLabel: label,
        labelOf: modelLabel,
        joined: joinedIn(state, message),
        summary: state.summaries.length ? summaryAt(state.summaries, entry, entries[index + 1]) : null,
        askedBy: isAnswer && isOpen(message) ? (questionOf(state, message)?.author?.name ?? "") : "",
      });
    };
    const isSame = entries.length === before.length && entries.every((e, i) => e === before[i] || e.message.id === before[i].message.id);
    if (!isSame) {
      const numbers = stretchesOf(entries);
      const stretch = { elements: stretches, key: (number) => number, make: () => clone("stretch-template"), draw: () => {} };
      reconcile(list, [...new Set(numbers)], stretch);
      let index = 0;
      reconcile(list, entries, {
        elements,
        key: ({ message }) => message.id,
        make: (entry) => (entry.message.gap ? clone("gap-template") : makeMessage(entry)),
        draw: (element, entry) => drawOne(element, entry, index++),
        homeOf: () => stretches.get(numbers[index]),
      });
      return;
    }
    entries.forEach((entry, index) => {
      if (all || entry !== before[index] || isOpen(entry.message)) drawOne(elements.get(entry.message.id), entry, index);
    });
  }

  function tellGrowth(before) {
    const newest = entries.at(-1)?.message;
    const now = newest && { id: newest.id, length: newest.content.length, status: newest.status };
    if (last && now && (now.id !== last.id || now.length !== last.length || now.status !== last.status)) {
      const known = new Set(now.id === last.id ? [] : before.slice(-60).map(({ message }) => message.id));
      place.grew(now.id === last.id ? 0 : entries.slice(-60).filter(({ message }) => !known.has(message.id)).length);
    }
    last = now ?? null;
  }

  /** The block or message that stands at this height of the window. */
  function standingAt(y) {
    const stretch = firstBelow([...list.children], y);
    const message = firstBelow([...(stretch?.children ?? [])], y);
    return firstBelow([...(message?.querySelectorAll(".block") ?? [])], y) ?? message ?? stretch;
  }

  async function loadMore() {
    const before = oldest(store.state);
    if (isLoading || !store.state.hasMore || !before) return;
    isLoading = true;
    try {
      const page = await loadOlder(before);
      store.dispatch({ type: "ui.older", messages: page.messages, has_more: page.has_more });
      setTimeout(() => {
        isLoading = false;
        if (box.scrollTop < LOAD_OLDER_WITHIN_PX) loadMore(); // one who went on up meanwhile waits there
      }, 150);
    } catch (error) {
      notice(error.message);
      setTimeout(() => (isLoading = false), 2_000);
    }
  }

  older.addEventListener("click", loadMore);
  box.addEventListener("scroll", () => box.scrollTop < LOAD_OLDER_WITHIN_PX && loadMore(), { passive: true });

  list.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (!button) return;
    const element = button.closest(".message, .gap");
    const entry = entries.find(({ message }) => elements.get(message.id) === element);
    if (entry) actions[button.dataset.do]?.(entry, button, element);
  });

  list.addEventListener("submit", (event) => {
    const form = event.target.closest(".tool-form");
    if (!form) return;
    event.preventDefault();
    const entry = entries.find(({ message }) => elements.get(message.id) === form.closest(".message"));
    if (entry) answerForm(entry.message, form, "accept");
  });

  // Of an answer that is being written the end is what one wants to see, unfolded or not.
  const settled = (event, within) => (event.target.closest("[aria-busy]") ? null : event.target.closest(within));
  list.addEventListener("click", (event) => {
    const summary = settled(event, "summary");
    if (summary) place.holdOn(summary);
  });
  list.addEventListener("toggle", (event) => settled(event, "details") && place.moved(), true);

  const actions = {
    "copy-code": (_, button) => copyCode(button),
    copy: async ({ message }, button) => flash(button, (await copyText(message.content)) ? "Copied" : "Could not copy"),
    retry: ({ message }) => again(message),
    usage: ({ message }, _, element) => toggleUsage(element, message),
    stop: ({ message }) => stop(message),
    "go-on": () => goOn(),
    "allow-call": (_, button) => decide(button, "approve"),
    "deny-call": (_, button) => decide(button, "deny"),
    "decline-form": ({ message }, button) => answerForm(message, button.form, "decline"),
    "cancel-form": ({ message }, button) => answerForm(message, button.form, "cancel"),
    "stop-and-retry": async ({ message }) => {
      if (await stop(message)) await again(message);
    },
    "version-before": (entry, _, element) => turn(entry, -1, element),
    "version-after": (entry, _, element) => turn(entry, 1, element),
    "send-again": ({ message }) => outbox.again(message.outbox),
    "edit-unsent": ({ message }) => outbox.takeBack(message.outbox),
    discard: ({ message }) => outbox.discard(message.outbox),
    ...keep?.actions,
  };

  async function decide(button, decision) {
    const message = await orNotice(() => api.decide(button.closest("[data-call]").dataset.call, decision));
    if (message) store.dispatch({ type: "ui.changed", message });
  }

  async function answerForm(message, form, action) {
    const call = message.tool_calls.find(({ id }) => id === form.closest("[data-call]").dataset.call);
    const content = action === "accept" ? givenIn(form, call.form.fields) : {};
    const answer = await orNotice(() => api.fillForm(call.id, call.form.number, action, content));
    if (answer) store.dispatch({ type: "ui.changed", message: answer });
  }

  async function again(message) {
    if (running(store.state)) return notice("An answer is being written. Wait for its end, or stop it first.");
    const answer = await orNotice(() => api.retry(message.id));
    if (answer) store.dispatch({ type: "message.created", message: answer.reply });
    return undefined;
  }

  function turn({ message, versions, of }, by, element) {
    const next = versions[versions.indexOf(message) + by];
    if (!next) return;
    const hadFocus = element.contains(document.activeElement);
    store.dispatch({ type: "ui.version", question: of, reply: next.id });
    store.repaint();
    const shown = elements.get(next.id);
    if (!hadFocus || !shown) return;
    const same = part(shown, by < 0 ? "version-before" : "version-after");
    (same.disabled ? part(shown, by < 0 ? "version-after" : "version-before") : same).focus();
  }

  /** Moves the focus to the next (1) or the previous (-1) message; from outside of them to the newest. */
  function step(by) {
    const all = [...list.querySelectorAll(".stretch > *")];
    const at = all.indexOf(document.activeElement?.closest(".message"));
    const next = at < 0 ? all.at(-1) : all[at + by];
    if (!next) return;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
    place.moved();
  }

  /** Goes to a message that is shown, and returns its element. */
  function reveal(id) {
    const element = elements.get(id);
    if (!element) return null;
    // What is around it is laid out before, or it would push the message away when it comes into view.
    for (const stretch of list.querySelectorAll(".is-near")) stretch.classList.remove("is-near");
    const stretch = element.parentElement;
    for (const near of [stretch.previousElementSibling, stretch, stretch.nextElementSibling]) near?.classList.add("is-near");
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: element.offsetHeight > box.clientHeight ? "start" : "center" });
    place.moved();
    return element;
  }

  const messageOf = (element) => entries.find(({ message }) => elements.get(message.id) === element)?.message ?? null;
  const shown = { toEnd: place.toEnd, step, reveal, messageOf, moved: place.moved };
  keep?.joins(shown);
  return shown;
}

/** The first of these elements, which stand below each other, that reaches below the height `y`. */
function firstBelow(elements, y) {
  let from = 0;
  let to = elements.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (elements[middle].getBoundingClientRect().bottom > y) to = middle;
    else from = middle + 1;
  }
  return elements[from];
}

/** A message that the server doesn't have yet, in the shape of one. */
function unsent(state, entry) {
  return {
    id: `unsent-${entry.client_id}`,
    role: "user",
    author: state.you,
    content: entry.content,
    attachments: entry.attachments,
    html: [],
    status: "unsent",
    created_at: new Date(entry.created_at).toISOString(),
    outbox: entry,
  };
}
