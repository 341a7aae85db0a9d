// @ts-check
/** What is said of a message on its way: that it is sent, what is waited for and for how long, that nothing is heard. */

import { part, setHidden, setText } from "./parts.js";
import { askedCalls, formCalls, isOpen } from "./state/selectors.js";
import { isThinking, thinksOnly } from "./state/thinking.js";
import { span } from "./times.js";
import { toolStatus } from "./tools.js";

/** @import { Shown } from "./message.js" */

/**
 * @typedef {object} StatusContext
 * @property {number} now in ms
 * @property {boolean} isCutOff whether it's the page that hears nothing
 * @property {string} modelLabel what people call the model
 * @property {string} askedBy who asked, or ""
 */

const SILENT_AFTER_MS = 20_000;

/**
 * Whether nothing is heard of an answer for a while, though nobody is waited for.
 * @param {Shown} message
 * @param {number} now in ms
 */
export function isSilent(message, now) {
  const isAsking = askedCalls(message).length || formCalls(message).length;
  return isOpen(message) && !isAsking && message.newsAt !== undefined && now - message.newsAt > SILENT_AFTER_MS;
}

/**
 * @param {HTMLElement} element of the message
 * @param {Shown} message
 * @param {StatusContext & { mayWrite: boolean }} context
 */
export function drawStatus(element, message, context) {
  const silence = silenceText(message, context);
  const status = part(element, "status");
  const isSaid = thinksOnly(message) && !context.isCutOff && !message.waitsFor; // above
  setHidden(status, isSaid || !(isOpen(message) || message.outbox?.status === "sending"));
  if (!status.hidden) setText(part(element, "status-text"), statusText(message, context));
  setHidden(part(element, "silence"), !silence);
  if (silence) setText(part(element, "silence-text"), silence);
  setHidden(part(element, "silence-choices"), !context.mayWrite);
}

/**
 * What is said of an answer of which nothing is heard, or "": also while it's the page that hears nothing.
 * @param {Shown} message
 * @param {Pick<StatusContext, "now" | "isCutOff">} context
 */
export function silenceText(message, { now, isCutOff }) {
  if (isCutOff || !isSilent(message, now)) return "";
  if (message.alive === false) return "Nobody seems to be working on this answer right now. It will be taken up again by itself.";
  return `Still waiting: nothing new for ${span(now - (message.newsAt ?? now))}. The model may just be slow.`;
}

/**
 * What a message does that is not there yet.
 * @param {Shown} message
 * @param {StatusContext} context
 */
export function statusText(message, { now, isCutOff, modelLabel, askedBy }) {
  if (message.outbox) return "Sending…";
  if (isCutOff) return "Not connected. What is written meanwhile shows later.";
  if (message.waitsFor) return message.waitsFor;
  const since = span(now - Date.parse(message.started_at ?? message.created_at));
  if (toolStatus(message)) return `${toolStatus(message)} · ${since}`;
  const whom = askedBy ? ` for ${askedBy}` : "";
  if (message.status === "pending") return message.attempt ? `Taking up the answer again · ${since}` : `Waiting for ${modelLabel} · ${since}`;
  if (isThinking(message)) return `Thinking${whom} · ${since}`;
  return message.content ? `Writing${whom} · ${since}` : `Waiting for the first words${whom} · ${since}`;
}
