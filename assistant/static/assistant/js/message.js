// @ts-check
/** Draws one message. The markup is `_message.html`; live text changes only the blocks that changed. */

import { drawAsides } from "./asides.js";
import { drawAttachments } from "./attachments.js";
import { drawBlocks } from "./blocks.js";
import { copyBy } from "./clipboard.js";
import { clone, part, setHidden, setText } from "./parts.js";
import { drawReasoning } from "./reasoning.js";
import { drawSources } from "./sources.js";
import { isOpen } from "./state/selectors.js";
import { drawStatus } from "./status.js";
import { fullTime, shortTime } from "./times.js";
import { drawTools } from "./tools.js";
import { spokenUsage } from "./usage.js";

/** @import { Source } from "parley/api" */
/** @import { Summary } from "parley/frames" */
/** @import { Slot } from "./blocks.js" */
/** @import { UnsentMessage } from "./outbox.js" */
/** @import { Held } from "./state/merging.js" */
/** @import { Entry } from "./state/thread.js" */
/** @import { StatusContext } from "./status.js" */

/** A message as it is drawn: one that is held, or one that the server doesn't have yet. @typedef {Held | UnsentMessage} Shown */

/**
 * What a message's look depends on besides itself.
 * @typedef {object} OwnContext
 * @property {boolean} isLast whether it is the newest
 * @property {boolean} isKept whether there is more to do with it
 * @property {boolean} mayWrite
 * @property {boolean} mayResend
 * @property {string} author
 * @property {number | null} hue the author's, in degrees
 * @property {Held[]} joined the messages that joined it while it was being written
 * @property {Summary | null} summary what models are told in its place, and in that of all before it
 * @property {(model: string) => string} labelOf what people call a model
 * @property {((body: HTMLElement) => void) | null} markNames
 * @property {readonly object[]} people whose names are marked: new ones also in a text that stands there already
 */
/** @typedef {OwnContext & StatusContext} Context */

/** @type {Source[]} */
const NONE = [];

/**
 * What an element shows; `text` is of an earlier attempt while the new one has not come as far.
 * @typedef {{ message: Shown, mark: string, text: Shown, slots: Slot[] | undefined, people: readonly object[] }} Drawn
 */

/** @type {WeakMap<HTMLElement, Drawn>} */
const drawn = new WeakMap();

/** @param {Shown} message */
export function makeMessage(message) {
  const element = clone("message-template");
  const isQuestion = message.role === "user";
  element.id = message.outbox ? "" : `message-${message.id}`;
  element.classList.add(isQuestion ? "is-question" : "is-answer");
  part(element, "body").classList.toggle("prose", !isQuestion || Boolean(message.html?.length));
  return element;
}

/**
 * Makes `element` show a message. Cheap where nothing about it has changed.
 * @param {HTMLElement} element
 * @param {Entry<Shown>} entry
 * @param {Context} context
 */
export function drawMessage(element, entry, context) {
  const { message, versions } = entry;
  const before = drawn.get(element);
  const isMarked = before?.people === context.people;
  const mark = `${versions?.length} ${context.isLast} ${context.mayWrite} ${context.mayResend} ${versions?.findIndex((version) => version === message)} ${context.author} ${context.summary?.id} ${context.joined.length}`;
  if (before?.message !== message || before.mark !== mark) {
    drawHead(element, message, context);
    const text = before && isCatchingUp(message, before.text) ? before.text : message;
    const isSameText = before?.text === text || (before?.slots && before.text.html === text.html);
    const slots = isSameText ? before?.slots : drawBody(element, text, before?.slots);
    if (!isSameText || !isMarked) context.markNames?.(part(element, "body"));
    drawTools(part(element, "body"), message, slots, context);
    const isResumed = Boolean(message.interruptions) && message.status !== "pending";
    setHidden(part(element, "resumed"), !isResumed || message.status === "error"); // an error says it itself
    drawAttachments(part(element, "attachments"), message.attachments ?? []);
    drawSources(part(element, "sources"), message.sources ?? NONE);
    drawNote(element, message);
    setHidden(part(element, "cut-choices"), !(message.cut && context.isLast && context.mayWrite));
    drawAsides(element, message, context);
    drawActions(element, entry, context);
    element.classList.toggle("is-last", context.isLast);
    element.classList.toggle("is-writing", message.status === "processing");
    element.classList.toggle("is-sending", message.outbox?.status === "sending");
    if (isOpen(message)) element.setAttribute("aria-busy", "true");
    else element.removeAttribute("aria-busy");
    drawn.set(element, { message, mark, text, slots, people: context.people });
  } else {
    if (!isMarked) context.markNames?.(part(element, "body"));
    before.people = context.people;
    if (!isOpen(message) && !message.outbox) return; // only of what is under way something moves by itself
  }
  drawReasoning(part(element, "reasoning"), message, context);
  drawStatus(element, message, context);
}

/**
 * Whether an answer is being written anew and has not come as far yet as what is shown of it: that stays in sight.
 * @param {Shown} message
 * @param {Shown} shown
 */
function isCatchingUp(message, shown) {
  const isAnswer = message.role === "assistant" && message.id === shown.id && isOpen(message);
  return isAnswer && message.content.length < shown.content.length;
}

/**
 * @param {HTMLElement} element
 * @param {Shown} message
 * @param {Context} context
 */
function drawHead(element, message, { author, hue }) {
  const name = part(element, "author");
  setText(name, author);
  if (hue !== null) name.style.setProperty("--hue", String(hue));
  const time = part(element, "time");
  const moment = message.started_at ?? message.created_at;
  setText(time, moment ? shortTime(moment) : "");
  if (moment) {
    time.dateTime = moment;
    time.title = fullTime(moment);
  }
}

/**
 * Returns what `drawBlocks` wants back the next time.
 * @param {HTMLElement} element
 * @param {Shown} message
 * @param {Slot[] | undefined} slots
 */
function drawBody(element, message, slots) {
  const body = part(element, "body");
  const blocks = message.html ?? [];
  const isPlain = !blocks.length && !message.tool_calls?.length;
  if (isPlain) {
    if (body.textContent !== message.content) body.textContent = message.content;
    body.classList.add("message-plain");
    return undefined;
  }
  if (body.classList.contains("message-plain")) {
    body.classList.remove("message-plain");
    body.textContent = "";
  }
  return drawBlocks(body, blocks, slots);
}

/**
 * @param {HTMLElement} element
 * @param {Shown} message
 */
function drawNote(element, message) {
  const note = part(element, "note");
  let text = "";
  if (message.outbox?.status === "failed") text = message.outbox.detail ?? "";
  else if (message.status === "error") text = failure(message);
  else if (message.status === "cancelled") text = message.stopped_by ? `Stopped by ${message.stopped_by.name}.` : "Stopped.";
  else if (message.cut) text = cutText(message);
  else if (message.taken_by) text = "Joined in while the answer below was being written.";
  setText(note, text);
  setHidden(note, !text);
  note.classList.toggle("is-error", message.status === "error" || Boolean(message.outbox));
}

/**
 * What is said of an answer that is whole as far as its session lets it be.
 * @param {Pick<Shown, "settings">} message
 */
export function cutText({ settings }) {
  const limit = settings?.parameters?.max_tokens;
  const tokens = typeof limit === "number" ? `: ${new Intl.NumberFormat("en").format(limit)} tokens` : "";
  return `It ends at the longest answer that this session’s settings allow${tokens}.`;
}

/** @param {Shown} message */
function failure({ content, error }) {
  const sentence = error?.detail || "The answer failed.";
  if (error?.bounced) return `${sentence} No model has read the question: it can be edited and asked anew.`;
  return content.trim() ? `The answer is incomplete: ${sentence}` : sentence;
}

/**
 * @param {HTMLElement} element
 * @param {Entry<Shown>} entry
 * @param {Context} context
 */
function drawActions(element, { message, versions }, { mayWrite, mayResend, isKept }) {
  const isAnswer = message.role === "assistant";
  const ended = !isOpen(message);
  const failed = message.status === "error" || message.status === "cancelled";
  setHidden(part(element, "copy"), Boolean(message.outbox) || !ended || !message.content);
  const retry = part(element, "retry");
  setHidden(retry, !(isAnswer && ended && mayWrite));
  setText(part(element, "retry-label"), failed ? "Retry" : "Answer again");
  setHidden(part(element, "edit-asked"), !mayResend);
  setHidden(part(element, "more"), Boolean(message.outbox) || !isKept);
  const pager = part(element, "versions");
  const many = versions && versions.length > 1 ? versions : null;
  setHidden(pager, !many);
  element.classList.toggle("has-versions", Boolean(many) || failed);
  if (many) {
    const index = many.findIndex((version) => version === message);
    const last = many.length - 1;
    setText(part(element, "version"), `${index + 1} / ${many.length}`);
    pager.setAttribute("aria-label", `Versions of this ${isAnswer ? "answer" : "question"}`);
    setHidden(part(element, "version-note"), index === last);
    part(element, "version-before").disabled = index === 0;
    part(element, "version-after").disabled = index === last;
  }
  setHidden(part(element, "unsent-choices"), message.outbox?.status !== "failed");
  const usage = isAnswer && ended ? message.usage : null;
  setHidden(part(element, "usage-open"), !usage);
  const told = part(element, "usage");
  if (!usage) setHidden(told, true);
  else if (!told.hidden) setText(told, spokenUsage(usage));
}

/**
 * Tells or hides what an answer has cost.
 * @param {HTMLElement} element
 * @param {Shown} message
 */
export function toggleUsage(element, message) {
  const told = part(element, "usage");
  setHidden(told, !told.hidden);
  setText(told, told.hidden || !message.usage ? "" : spokenUsage(message.usage));
  part(element, "usage-open").setAttribute("aria-expanded", String(!told.hidden));
}

/**
 * The copy button of a block of code.
 * @param {HTMLElement} button
 */
export function copyCode(button) {
  const text = button.closest("figure")?.querySelector("pre")?.textContent ?? "";
  return copyBy(button, text.replace(/\n$/, ""));
}
