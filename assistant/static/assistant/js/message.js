/** Draws one message. The markup is `_message.html`; live text changes only the blocks that changed. */

import { drawAsides } from "./asides.js";
import { drawAttachments } from "./attachments.js";
import { drawBlocks } from "./blocks.js";
import { clone, flash, part, setHidden, setText, copyText } from "./parts.js";
import { drawReasoning } from "./reasoning.js";
import { drawSources } from "./sources.js";
import { askedCalls, formCalls, isOpen } from "./state/selectors.js";
import { isThinking, thinksOnly } from "./state/thinking.js";
import { fullTime, shortTime, span } from "./times.js";
import { drawTools, toolStatus } from "./tools.js";
import { spokenUsage } from "./usage.js";

const SILENT_AFTER_MS = 20_000;

const NONE = [];

const drawn = new WeakMap(); // element -> what it shows

export function isSilent(message, now) {
  return isOpen(message) && !askedCalls(message).length && !formCalls(message).length && now - message.newsAt > SILENT_AFTER_MS;
}

export function makeMessage({ message }) {
  const element = clone("message-template");
  const isQuestion = message.role === "user";
  element.id = message.outbox ? "" : `message-${message.id}`;
  element.classList.add(isQuestion ? "is-question" : "is-answer");
  part(element, "body").classList.toggle("prose", !isQuestion || Boolean(message.html?.length));
  return element;
}

/**
 * `entry` is {message, versions}; `context` {now, isCutOff, isLast, mayWrite, author, hue, joined, modelLabel, askedBy, markNames(element)}.
 */
export function drawMessage(element, entry, context) {
  const { message, versions } = entry;
  const before = drawn.get(element) ?? {};
  const isSettled = !isOpen(message) && !message.outbox;
  const mark = `${versions?.length} ${context.isLast} ${context.mayWrite} ${context.mayResend} ${versions?.indexOf(message)} ${context.author} ${context.summary?.id} ${context.joined.length}`;
  if (isSettled && before.message === message && before.mark === mark) return;
  if (before.message !== message || before.mark !== mark) {
    drawHead(element, message, context);
    const isSameText = before.message?.html === message.html && before.slots;
    const slots = isSameText ? before.slots : drawBody(element, message, before.slots);
    if (!isSameText) context.markNames?.(part(element, "body"));
    drawTools(part(element, "body"), message, slots, context);
    const isResumed = message.interruptions > 0 && message.status !== "pending";
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
    drawn.set(element, { message, mark, slots });
  }
  drawReasoning(part(element, "reasoning"), message, context);
  drawStatus(element, message, context);
}

function drawHead(element, message, { author, hue }) {
  const name = part(element, "author");
  setText(name, author);
  if (hue !== null) name.style.setProperty("--hue", hue);
  const time = part(element, "time");
  const moment = message.started_at ?? message.created_at;
  setText(time, moment ? shortTime(moment) : "");
  if (moment) {
    time.dateTime = moment;
    time.title = fullTime(moment);
  }
}

/** Returns what `drawBlocks` wants back the next time. */
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

function drawNote(element, message) {
  const note = part(element, "note");
  let text = "";
  if (message.outbox?.status === "failed") text = message.outbox.detail;
  else if (message.status === "error") text = failure(message);
  else if (message.status === "cancelled") text = message.stopped_by ? `Stopped by ${message.stopped_by.name}.` : "Stopped.";
  else if (message.cut) text = cutText(message);
  else if (message.taken_by) text = "Joined in while the answer below was being written.";
  setText(note, text);
  setHidden(note, !text);
  note.classList.toggle("is-error", message.status === "error" || Boolean(message.outbox));
}

/** What is said of an answer that is whole as far as its session lets it be. */
export function cutText({ settings }) {
  const limit = settings?.parameters?.max_tokens;
  const tokens = limit ? `: ${new Intl.NumberFormat("en").format(limit)} tokens` : "";
  return `It ends at the longest answer that this session’s settings allow${tokens}.`;
}

function failure({ content, error }) {
  const sentence = error?.detail || "The answer failed.";
  if (error?.bounced) return `${sentence} No model has read the question: it can be edited and asked anew.`;
  return content.trim() ? `The answer is incomplete: ${sentence}` : sentence;
}

function drawStatus(element, message, context) {
  const silence = silenceText(message, context);
  const status = part(element, "status");
  const isSaid = thinksOnly(message) && !context.isCutOff && !message.waitsFor; // above
  setHidden(status, isSaid || !(isOpen(message) || message.outbox?.status === "sending"));
  if (!status.hidden) setText(part(element, "status-text"), statusText(message, context));
  setHidden(part(element, "silence"), !silence);
  if (silence) setText(part(element, "silence-text"), silence);
  setHidden(part(element, "silence-choices"), !context.mayWrite);
}

/** What is said of an answer of which nothing is heard, or "": also while it's the page that hears nothing. */
export function silenceText(message, { now, isCutOff }) {
  if (isCutOff || !isSilent(message, now)) return "";
  if (message.alive === false) return "Nobody seems to be working on this answer right now. It will be taken up again by itself.";
  return `Still waiting: nothing new for ${span(now - message.newsAt)}. The model may just be slow.`;
}

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
  const many = versions?.length > 1;
  setHidden(pager, !many);
  element.classList.toggle("has-versions", Boolean(many) || failed);
  if (many) {
    const index = versions.indexOf(message);
    setText(part(element, "version"), `${index + 1} / ${versions.length}`);
    pager.setAttribute("aria-label", `Versions of this ${isAnswer ? "answer" : "question"}`);
    setHidden(part(element, "version-note"), index === versions.length - 1);
    part(element, "version-before").disabled = index === 0;
    part(element, "version-after").disabled = index === versions.length - 1;
  }
  setHidden(part(element, "unsent-choices"), message.outbox?.status !== "failed");
  const isCounted = isAnswer && ended && Boolean(message.usage);
  setHidden(part(element, "usage-open"), !isCounted);
  const told = part(element, "usage");
  if (!isCounted) setHidden(told, true);
  else if (!told.hidden) setText(told, spokenUsage(message.usage));
}

/** Tells or hides what an answer has cost. */
export function toggleUsage(element, message) {
  const told = part(element, "usage");
  setHidden(told, !told.hidden);
  setText(told, told.hidden ? "" : spokenUsage(message.usage));
  part(element, "usage-open").setAttribute("aria-expanded", String(!told.hidden));
}

/** The copy button of a block of code. */
export async function copyCode(button) {
  const text = button.closest("figure").querySelector("pre").textContent;
  flash(button, (await copyText(text.replace(/\n$/, ""))) ? "Copied" : "Could not copy");
}
