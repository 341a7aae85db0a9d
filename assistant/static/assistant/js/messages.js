// @ts-check
/** The thread: draws the conversation, loads older parts of it, and goes to places in it. */

import { summaryAt } from "./asides.js";
import { createCommands } from "./commands.js";
import { refusal } from "./http.js";
import { drawMessage, makeMessage } from "./message.js";
import { labels } from "./models.js";
import { notice } from "./notices.js";
import { unsentMessage } from "./outbox.js";
import { clone, near, one, setHidden } from "./parts.js";
import { reconcile } from "./reconcile.js";
import { keepPlace } from "./scroll.js";
import { hueOf, isCutOff, isOpen, joinedIn, mayWrite, oldest, questionOf, running } from "./state/selectors.js";
import { stretchesOf, thread } from "./state/thread.js";

/** @import { ToldMessage } from "parley/frames" */
/** @import { Keeping } from "./keeping.js" */
/** @import { Shown } from "./message.js" */
/** @import { Outbox } from "./outbox.js" */
/** @import { Held } from "./state/merging.js" */
/** @import { State } from "./state/reducer.js" */
/** @import { Entry, Gap } from "./state/thread.js" */
/** @import { Store } from "./store.js" */

/** @typedef {ReturnType<typeof showMessages>} Messages */

const LOAD_OLDER_WITHIN_PX = 600;

/**
 * Who only reads has no `outbox`, no `stop`, and nothing to `keep`.
 * @param {object} options
 * @param {Store} options.store
 * @param {(id: string | null | undefined) => string} options.modelLabel
 * @param {(before: string) => Promise<{ messages: ToldMessage[], has_more: boolean }>} options.loadOlder what stands before that message
 * @param {((body: HTMLElement) => void) | null} [options.markNames]
 * @param {Outbox | null} [options.outbox]
 * @param {Keeping | null} [options.keep]
 * @param {(message: Held) => Promise<unknown>} [options.stop] resolves to nothing where that was refused
 * @param {() => void} [options.goOn]
 */
export function showMessages({ store, modelLabel, loadOlder, markNames = null, outbox = null, keep = null, stop = async () => {}, goOn = () => {} }) {
  const box = one(document, "[data-thread]");
  const list = one(document, "[data-messages]");
  const older = one(document, "[data-older]");
  const welcome = one(document, "[data-welcome]");
  const place = keepPlace({ box, content: list, button: one(document, "[data-to-bottom]"), find: standingAt });
  /** @type {Map<string, HTMLElement>} */
  const elements = new Map();
  /** @type {Map<number, HTMLElement>} */
  const stretches = new Map(); // number -> the list of its messages
  /** @type {Entry<Shown | Gap>[]} */
  let entries = [];
  /** @type {unknown[]} */
  let epoch = []; // what each message's look depends on besides itself
  /** @type {{ id: string, length: number, status: string } | null} */
  let last = null; // of the newest message
  let isLoading = false;

  store.paint((state) => {
    const before = entries;
    entries = thread(state);
    if (state.outbox.length) entries = [...entries, ...state.outbox.map((entry) => ({ message: unsentMessage(state, entry), versions: null }))];
    draw(state, before);
    setHidden(welcome, !state.ready || entries.length > 0);
    setHidden(older, !state.hasMore);
    list.classList.toggle("is-busy", Boolean(running(state)));
    tellGrowth(before);
  });

  /**
   * @param {State} state
   * @param {Entry<Shown | Gap>[]} before
   */
  function draw(state, before) {
    const now = Date.now();
    const may = mayWrite(state);
    const epochBefore = epoch;
    epoch = [may, state.participants, state.summaries, labels()];
    const all = epoch.some((part, index) => part !== epochBefore[index]);
    const newest = entries.length - 1;

    /**
     * @param {HTMLElement} element
     * @param {Entry<Shown | Gap>} entry
     * @param {number} index
     */
    function drawOne(element, { message, versions }, index) {
      if (message.role === "gap") return;
      const isAnswer = message.role === "assistant";
      const label = isAnswer ? (message.model_label ?? modelLabel(message.model)) : "";
      drawMessage(element, { message, versions }, {
        now,
        isCutOff: isCutOff(state, now),
        mayWrite: may,
        isLast: index === newest,
        isKept: Boolean(keep),
        mayResend: Boolean(keep?.mayResend(state, message)),
        author: isAnswer ? label : (message.author?.name ?? "Someone"),
        markNames: isAnswer ? null : markNames,
        people: state.participants,
        hue: isAnswer || !message.author?.id ? null : hueOf(state, message.author.id),
        modelLabel: label,
        labelOf: modelLabel,
        joined: joinedIn(state, message),
        summary: state.summaries.length ? summaryAt(state.summaries, { message }, entries[index + 1]) : null,
        askedBy: isAnswer && isOpen(message) ? (questionOf(state, message)?.author?.name ?? "") : "",
      });
    }

    const isSame = entries.length === before.length && entries.every((e, i) => e === before[i] || e.message.id === before[i]?.message.id);
    if (!isSame) {
      const numbers = stretchesOf(entries);
      reconcile(list, [...new Set(numbers)], {
        elements: stretches,
        key: (number) => number,
        make: () => clone("stretch-template"),
        draw: () => {},
      });
      let index = 0;
      reconcile(list, entries, {
        elements,
        key: ({ message }) => message.id,
        make: ({ message }) => (message.role === "gap" ? clone("gap-template") : makeMessage(message)),
        draw: (element, entry) => drawOne(element, entry, index++),
        homeOf: () => stretches.get(numbers[index] ?? 0) ?? list,
      });
      return;
    }
    for (const [index, entry] of entries.entries()) {
      const element = elements.get(entry.message.id);
      if (element && (all || entry !== before[index] || isOpen(entry.message))) drawOne(element, entry, index);
    }
  }

  /** @param {Entry<Shown | Gap>[]} before */
  function tellGrowth(before) {
    const newest = entries.at(-1)?.message;
    const now = newest && { id: newest.id, length: newest.content.length, status: newest.status };
    if (last && now && (now.id !== last.id || now.length !== last.length || now.status !== last.status)) {
      const known = new Set(now.id === last.id ? [] : before.slice(-60).map(({ message }) => message.id));
      place.grew(now.id === last.id ? 0 : entries.slice(-60).filter(({ message }) => !known.has(message.id)).length);
    }
    last = now ?? null;
  }

  /**
   * The block or message that stands at this height of the window.
   * @param {number} y
   */
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
      notice(refusal(error).message);
      setTimeout(() => (isLoading = false), 2_000);
    }
  }

  older.addEventListener("click", loadMore);
  box.addEventListener("scroll", () => box.scrollTop < LOAD_OLDER_WITHIN_PX && loadMore(), { passive: true });

  const entryAt = (/** @type {Element | null} */ element) => entries.find(({ message }) => elements.get(message.id) === element);
  const elementOf = (/** @type {string} */ id) => elements.get(id);
  const commands = createCommands({ store, outbox, stop, goOn, more: keep?.commands, gaps: keep?.gaps, elementOf });

  list.addEventListener("click", (event) => {
    const button = near(event, "[data-do]");
    const element = near(event, ".message, .gap");
    const entry = entryAt(element);
    if (button && element && entry) commands.run(button, entry, element);
  });

  list.addEventListener("submit", (event) => {
    /** @type {HTMLFormElement | null} */
    const form = near(event, ".tool-form");
    if (!form) return;
    event.preventDefault();
    const message = messageOf(near(event, ".message"));
    if (message) commands.answerForm(message, form, "accept");
  });

  // Of an answer that is being written the end is what one wants to see, unfolded or not.
  const settled = (/** @type {Event} */ event, /** @type {"summary" | "details"} */ within) => (near(event, "[aria-busy]") ? null : near(event, within));
  list.addEventListener("click", (event) => {
    const summary = settled(event, "summary");
    if (summary) place.holdOn(summary);
  });
  list.addEventListener("toggle", (event) => settled(event, "details") && place.moved(), true);

  /**
   * Moves the focus to the next or the previous message; from outside of them to the newest.
   * @param {1 | -1} by
   */
  function step(by) {
    /** @type {HTMLElement[]} */
    const all = Array.from(list.querySelectorAll(".stretch > *"));
    const at = all.findIndex((each) => each === document.activeElement?.closest(".message"));
    const next = at < 0 ? all.at(-1) : all[at + by];
    if (!next) return;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
    place.moved();
  }

  /**
   * Goes to a message that is shown, and returns its element.
   * @param {string} id
   */
  function reveal(id) {
    const element = elements.get(id);
    if (!element) return null;
    // What is around it is laid out before, or it would push the message away when it comes into view.
    for (const stretch of list.querySelectorAll(".is-near")) stretch.classList.remove("is-near");
    const stretch = element.parentElement;
    for (const each of [stretch?.previousElementSibling, stretch, stretch?.nextElementSibling]) each?.classList.add("is-near");
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: element.offsetHeight > box.clientHeight ? "start" : "center" });
    place.moved();
    return element;
  }

  /**
   * The message that is shown in this element, or null.
   * @param {Element | null} element
   */
  function messageOf(element) {
    const message = entryAt(element)?.message;
    return message && message.role !== "gap" && !message.outbox ? message : null;
  }

  const shown = { toEnd: place.toEnd, step, reveal, messageOf, moved: place.moved };
  keep?.joins(shown);
  return shown;
}

/**
 * The first of these elements, which stand below each other, that reaches below the height `y`.
 * @param {Element[]} elements
 * @param {number} y
 */
function firstBelow(elements, y) {
  let from = 0;
  let to = elements.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((elements[middle]?.getBoundingClientRect().bottom ?? 0) > y) to = middle;
    else from = middle + 1;
  }
  return elements[from];
}
