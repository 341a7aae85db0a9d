// @ts-check
/** What the buttons of a message do (`data-do`, in _message.html). */

import { api } from "./api.js";
import { copyBy } from "./clipboard.js";
import { copyCode, toggleUsage } from "./message.js";
import { notice, orNotice } from "./notices.js";
import { part } from "./parts.js";
import { running } from "./state/selectors.js";
import { givenIn } from "./toolforms.js";
import { saidWith } from "./tools.js";

/** @import { Outbox } from "./outbox.js" */
/** @import { Shown } from "./message.js" */
/** @import { Held } from "./state/merging.js" */
/** @import { Unsent } from "./state/reducer.js" */
/** @import { Entry, Gap } from "./state/thread.js" */
/** @import { Store } from "./store.js" */

/**
 * What a button of a message does: with the message, and where it stands.
 * @typedef {(message: Held, button: HTMLButtonElement, element: HTMLElement, entry: Entry<Shown | Gap>) => unknown} Command
 */

/**
 * @param {object} options
 * @param {Store} options.store
 * @param {Outbox | null} options.outbox null: of who only reads
 * @param {(message: Held) => Promise<unknown>} options.stop resolves to nothing where that was refused
 * @param {() => void} options.goOn
 * @param {Record<string, Command>} [options.more] what one can do beside it (keeping.js)
 * @param {Record<string, (gap: Gap) => unknown>} [options.gaps] the same where messages are not loaded
 * @param {(id: string) => HTMLElement | undefined} options.elementOf of a message that is shown
 */
export function createCommands({ store, outbox, stop, goOn, more, gaps, elementOf }) {
  /** @type {Record<string, Command>} */
  const held = {
    "copy-code": (_, button) => copyCode(button),
    copy: ({ content }, button) => copyBy(button, content),
    retry: (message) => again(message),
    usage: (message, _, element) => toggleUsage(element, message),
    stop: (message) => stop(message),
    "go-on": () => goOn(),
    "allow-call": (message, button) => decide(message, button, "approve"),
    "deny-call": (message, button) => decide(message, button, "deny"),
    "decline-form": (message, { form }) => form && answerForm(message, form, "decline"),
    "cancel-form": (message, { form }) => form && answerForm(message, form, "cancel"),
    "stop-and-retry": async (message) => (await stop(message)) && again(message),
    "version-before": (message, _, element, entry) => turn(message, entry, -1, element),
    "version-after": (message, _, element, entry) => turn(message, entry, 1, element),
    ...more,
  };

  /** @type {Record<string, (entry: Unsent) => unknown>} */
  const unsent = {
    "send-again": (entry) => outbox?.again(entry),
    "edit-unsent": (entry) => outbox?.edit(entry),
    discard: (entry) => outbox?.discard(entry),
  };

  /**
   * @param {Held} message
   * @param {HTMLElement} button
   * @param {"approve" | "deny"} decision
   */
  async function decide(message, button, decision) {
    const call = message.tool_calls.find(({ id }) => id === callOf(button));
    const element = /** @type {HTMLElement | null} */ (button.closest("[data-call]"));
    if (!call || !element) return; // somebody else was faster
    const answer = await orNotice(() => api.decide(call.id, decision, saidWith(element, call, decision)));
    if (answer) store.dispatch({ type: "ui.changed", message: answer });
  }

  /**
   * Answers what a running tool asks.
   * @param {Held} message
   * @param {HTMLFormElement} form
   * @param {"accept" | "decline" | "cancel"} action
   */
  async function answerForm(message, form, action) {
    const call = message.tool_calls.find(({ id }) => id === callOf(form));
    const asked = call?.form;
    if (!asked) return; // somebody else was faster
    const content = action === "accept" ? givenIn(form, asked.fields) : {};
    const answer = await orNotice(() => api.fillForm(call.id, asked.number, action, content));
    if (answer) store.dispatch({ type: "ui.changed", message: answer });
  }

  /** @param {Held} message */
  async function again(message) {
    if (running(store.state)) return notice("An answer is being written. Wait for its end, or stop it first.");
    const answer = await orNotice(() => api.retry(message.id));
    if (answer) store.dispatch({ type: "message.created", message: answer.reply });
    return undefined;
  }

  /**
   * Turns to another version of a message.
   * @param {Held} message
   * @param {Entry<Shown | Gap>} entry
   * @param {-1 | 1} by
   * @param {HTMLElement} element
   */
  function turn(message, { versions, of }, by, element) {
    const next = versions?.[versions.indexOf(message) + by];
    if (!next || !of) return;
    const hadFocus = element.contains(document.activeElement);
    store.dispatch({ type: "ui.version", question: of, reply: next.id });
    store.repaint();
    const shown = elementOf(next.id);
    if (!hadFocus || !shown) return;
    const same = part(shown, by < 0 ? "version-before" : "version-after");
    (same.disabled ? part(shown, by < 0 ? "version-after" : "version-before") : same).focus();
  }

  return {
    answerForm,
    /**
     * Does what a button of this message, or of this gap, is for.
     * @param {HTMLButtonElement} button
     * @param {Entry<Shown | Gap>} entry
     * @param {HTMLElement} element of the message
     */
    run(button, entry, element) {
      const name = button.dataset.do ?? "";
      const { message } = entry;
      if (message.role === "gap") gaps?.[name]?.(message);
      else if (message.outbox) unsent[name]?.(message.outbox);
      else held[name]?.(message, button, element, entry);
    },
  };
}

/**
 * The id of the tool call in whose markup an element stands.
 * @param {HTMLElement} element
 */
function callOf(element) {
  /** @type {HTMLElement | null} */
  const call = element.closest("[data-call]");
  return call?.dataset.call ?? "";
}
