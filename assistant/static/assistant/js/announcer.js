// @ts-check
/**
 * Tells screen readers how answers end and questions begin, as words without marks, never tokens; that one thinks; and what
 * somebody has to decide, also if it came about while the line was down.
 */

import { one } from "./parts.js";
import { isOpen } from "./state/selectors.js";
import { isThinking } from "./state/thinking.js";

/** @import { ReasoningDelta, ToolCalls } from "parley/frames" */
/** @import { Held } from "./state/merging.js" */
/** @import { State } from "./state/reducer.js" */
/** @import { Store } from "./store.js" */

const LONGEST = 300;

/** @param {{ store: Store, modelLabel: (id: string | null) => string }} options */
export function announce({ store, modelLabel }) {
  const region = one(document, "[data-announcer]");

  const say = (/** @type {string} */ text) => (region.textContent = text);

  /**
   * @param {State} state
   * @param {State} before
   * @param {ToolCalls} frame
   */
  function sayCalls(state, before, { message_id }) {
    const of = (/** @type {State} */ { messages }) => messages.find(({ id }) => id === message_id);
    const news = callsBegun(of(state), of(before));
    if (news.length) say(news.join(" "));
  }

  /** @type {string | null} */
  let thinker = null; // the id of the answer of which it was said that its model thinks

  /**
   * @param {State} state
   * @param {ReasoningDelta} frame
   */
  function sayThinking(state, { message_id: id }) {
    const message = state.messages.find((each) => each.id === id);
    if (id === thinker || !message || !isThinking(message)) return;
    thinker = id;
    say(`${message.model_label ?? modelLabel(message.model)} is thinking.`);
  }

  /**
   * After a snapshot: how answers ended that were open, and what waits for a decision.
   * @param {State} state
   * @param {State} before
   */
  function sayMissed(state, before) {
    const were = new Map(before.messages.map((message) => [message.id, message]));
    const news = state.messages.flatMap((now) => {
      const then = were.get(now.id);
      const ended = then && isOpen(then) && !isOpen(now) ? [ending(now, now.model_label ?? modelLabel(now.model))] : [];
      return [...ended, ...decisions(now, then)];
    });
    if (news.length) say(news.join(" "));
  }

  store.watch((state, before, event) => {
    if (event.type === "session.snapshot") sayMissed(state, before);
    if (event.type === "message.reasoning_delta") sayThinking(state, event);
    if (event.type === "message.tool_calls") sayCalls(state, before, event);
    if (event.type !== "message.created" && event.type !== "message.updated") return;
    const now = state.messages.find(({ id }) => id === event.message.id);
    const then = before.messages.find(({ id }) => id === event.message.id);
    if (!now || now === then) return;
    if (now.role === "assistant" && then && isOpen(then) && !isOpen(now)) say(ending(now, now.model_label ?? modelLabel(now.model)));
    const isAsked = now.role === "user" && now.status === "success" && then?.status !== "success";
    if (isAsked && now.author?.id !== state.you?.id) say(`${now.author?.name ?? "Someone"} asked: ${beginning(words(now))}`);
  });
}

/**
 * What tools begin to do, and what somebody has to decide: once each.
 * @param {Held | undefined} now
 * @param {Held | undefined} then
 */
function callsBegun(now, then) {
  const was = new Map((then?.tool_calls ?? []).map((call) => [call.id, call]));
  const calls = now?.tool_calls ?? [];
  const begun = calls.filter((call) => call.status === "running" && was.get(call.id)?.status !== "running");
  return [...begun.map((call) => `${call.doing}.`), ...decisions(now, then)];
}

/**
 * What somebody has to decide of the calls of an answer: once each.
 * @param {Held | undefined} now
 * @param {Held | undefined} then
 */
function decisions(now, then) {
  const was = new Map((then?.tool_calls ?? []).map((call) => [call.id, call]));
  const calls = now?.tool_calls ?? [];
  const asked = calls.filter((call) => call.approval === "asked" && call.status === "pending" && !was.has(call.id));
  const forms = calls.filter(({ id, form }) => form && !form.action && was.get(id)?.form?.number !== form.number);
  return [
    ...forms.map((call) => `${call.title} asks: ${call.form?.message} Answer in the conversation.`),
    ...asked.map((call) => `The assistant asks for leave: ${call.title}. Allow or deny it in the conversation.`),
  ];
}

/**
 * @param {Held} message
 * @param {string} name of its model
 */
function ending(message, name) {
  if (message.status === "success") return `${name} answered: ${beginning(words(message))}`;
  if (message.status === "cancelled") return "The answer was stopped.";
  return `The answer failed. ${message.error?.detail ?? ""}`;
}

/**
 * What a message says: of the blocks that are drawn the text, code only named.
 * @param {Pick<Held, "html" | "content">} message
 */
function words({ html, content }) {
  if (!html?.length) return content;
  const { body } = new DOMParser().parseFromString(html.join(""), "text/html"); // loads nothing and runs nothing
  for (const code of body.querySelectorAll("figure.code")) code.replaceWith(code.classList.contains("continued") ? "" : "(Code.) ");
  for (const end of body.querySelectorAll("p, li, h1, h2, h3, h4, h5, h6, th, td, br")) end.append(" ");
  return body.textContent ?? "";
}

/**
 * The first sentences of a text, and that there is more.
 * @param {string} text
 */
export function beginning(text) {
  const all = text.replace(/\s+/g, " ").trim();
  if (all.length <= LONGEST) return all;
  let begun = "";
  for (const { segment } of new Intl.Segmenter(undefined, { granularity: "sentence" }).segment(all)) {
    if (begun.length + segment.length > LONGEST) break;
    begun += segment;
  }
  begun ||= `${all.slice(0, LONGEST).replace(/ \S*$/, "")}… `;
  return `${begun}(The rest is in the conversation.)`;
}
