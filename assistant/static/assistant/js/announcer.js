/** Tells screen readers whole answers and questions, never tokens. */

import { isOpen } from "./state.js";

const LONGEST = 1_200;

export function announce({ store, modelLabel }) {
  const region = document.querySelector("[data-announcer]");

  function say(text) {
    region.textContent = text.length > LONGEST ? `${text.slice(0, LONGEST)}… (the rest is in the conversation)` : text;
  }

  function sayCalls(state, before, { message_id }) {
    const of = ({ messages }) => messages.find(({ id }) => id === message_id);
    const news = callsBegun(of(state), of(before));
    if (news.length) say(news.join(" "));
  }

  store.watch((state, before, event) => {
    if (event.type === "message.tool_calls") sayCalls(state, before, event);
    if (event.type !== "message.created" && event.type !== "message.updated") return;
    const now = state.messages.find(({ id }) => id === event.message?.id);
    const then = before.messages.find(({ id }) => id === event.message?.id);
    if (!now || now === then) return;
    if (now.role === "assistant" && then && isOpen(then) && !isOpen(now)) say(ending(now, modelLabel(now.model)));
    const isAsked = now.role === "user" && now.status === "success" && then?.status !== "success";
    if (isAsked && now.author?.id !== state.you?.id) say(`${now.author?.name ?? "Someone"} asked: ${now.content}`);
  });
}

/** What tools begin to do, and what somebody has to decide: once each. */
function callsBegun(now, then) {
  const was = new Map((then?.tool_calls ?? []).map((call) => [call.id, call]));
  const begun = (now?.tool_calls ?? []).filter((call) => call.status === "running" && was.get(call.id)?.status !== "running");
  const asked = (now?.tool_calls ?? []).filter((call) => call.approval === "asked" && !was.has(call.id));
  return [...begun.map((call) => `${call.doing}.`), ...asked.map((call) => `The assistant asks for leave: ${call.title}. Allow or deny it in the conversation.`)];
}

function ending(message, name) {
  if (message.status === "success") return `${name} answered: ${message.content}`;
  if (message.status === "cancelled") return "The answer was stopped.";
  return `The answer failed. ${message.error?.detail ?? ""}`;
}
