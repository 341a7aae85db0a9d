/** Tells screen readers whole answers and questions, never tokens. */

import { isOpen } from "./state.js";

const LONGEST = 1_200;

export function announce({ store, modelLabel }) {
  const region = document.querySelector("[data-announcer]");

  function say(text) {
    region.textContent = text.length > LONGEST ? `${text.slice(0, LONGEST)}… (the rest is in the conversation)` : text;
  }

  store.watch((state, before, event) => {
    if (event.type !== "message.created" && event.type !== "message.updated") return;
    const now = state.messages.find(({ id }) => id === event.message?.id);
    const then = before.messages.find(({ id }) => id === event.message?.id);
    if (!now || now === then) return;
    if (now.role === "assistant" && then && isOpen(then) && !isOpen(now)) say(ending(now, modelLabel(now.model)));
    const isAsked = now.role === "user" && now.status === "success" && then?.status !== "success";
    if (isAsked && now.author?.id !== state.you?.id) say(`${now.author?.name ?? "Someone"} asked: ${now.content}`);
  });
}

function ending(message, name) {
  if (message.status === "success") return `${name} answered: ${message.content}`;
  if (message.status === "cancelled") return "The answer was stopped.";
  return `The answer failed. ${message.error?.detail ?? ""}`;
}
