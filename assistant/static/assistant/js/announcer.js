/** Tells screen readers how answers end and questions begin, as words without marks, never tokens; and that one thinks. */

import { isOpen } from "./state/selectors.js";
import { isThinking } from "./state/thinking.js";

const LONGEST = 300;

export function announce({ store, modelLabel }) {
  const region = document.querySelector("[data-announcer]");

  const say = (text) => (region.textContent = text);

  function sayCalls(state, before, { message_id }) {
    const of = ({ messages }) => messages.find(({ id }) => id === message_id);
    const news = callsBegun(of(state), of(before));
    if (news.length) say(news.join(" "));
  }

  let thinker = null; // the id of the answer of which it was said that its model thinks

  function sayThinking(state, { message_id: id }) {
    const message = state.messages.find((each) => each.id === id);
    if (id === thinker || !message || !isThinking(message)) return;
    thinker = id;
    say(`${message.model_label ?? modelLabel(message.model)} is thinking.`);
  }

  store.watch((state, before, event) => {
    if (event.type === "message.reasoning_delta") sayThinking(state, event);
    if (event.type === "message.tool_calls") sayCalls(state, before, event);
    if (event.type !== "message.created" && event.type !== "message.updated") return;
    const now = state.messages.find(({ id }) => id === event.message?.id);
    const then = before.messages.find(({ id }) => id === event.message?.id);
    if (!now || now === then) return;
    if (now.role === "assistant" && then && isOpen(then) && !isOpen(now)) say(ending(now, now.model_label ?? modelLabel(now.model)));
    const isAsked = now.role === "user" && now.status === "success" && then?.status !== "success";
    if (isAsked && now.author?.id !== state.you?.id) say(`${now.author?.name ?? "Someone"} asked: ${beginning(words(now))}`);
  });
}

/** What tools begin to do, and what somebody has to decide: once each. */
function callsBegun(now, then) {
  const was = new Map((then?.tool_calls ?? []).map((call) => [call.id, call]));
  const begun = (now?.tool_calls ?? []).filter((call) => call.status === "running" && was.get(call.id)?.status !== "running");
  const asked = (now?.tool_calls ?? []).filter((call) => call.approval === "asked" && !was.has(call.id));
  const forms = (now?.tool_calls ?? []).filter((call) => call.form && !call.form.action && was.get(call.id)?.form?.number !== call.form.number);
  return [...begun.map((call) => `${call.doing}.`), ...forms.map((call) => `${call.title} asks: ${call.form.message} Answer in the conversation.`), ...asked.map((call) => `The assistant asks for leave: ${call.title}. Allow or deny it in the conversation.`)];
}

function ending(message, name) {
  if (message.status === "success") return `${name} answered: ${beginning(words(message))}`;
  if (message.status === "cancelled") return "The answer was stopped.";
  return `The answer failed. ${message.error?.detail ?? ""}`;
}

/** What a message says: of the blocks that are drawn the text, code only named. */
function words({ html, content }) {
  if (!html?.length) return content;
  const { body } = new DOMParser().parseFromString(html.join(""), "text/html"); // loads nothing and runs nothing
  for (const code of body.querySelectorAll("figure.code")) code.replaceWith(code.classList.contains("continued") ? "" : "(Code.) ");
  for (const end of body.querySelectorAll("p, li, h1, h2, h3, h4, h5, h6, th, td, br")) end.append(" ");
  return body.textContent;
}

/** The first sentences of a text, and that there is more. */
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
