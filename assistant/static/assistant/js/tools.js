// @ts-check
/** The tool calls of an answer, between the blocks of its text: what was done, for how long, and what waits for a yes. */

import { drawAttachments } from "./attachments.js";
import { clone, one, part, setHidden, setText } from "./parts.js";
import { askedCalls, formCalls, isOpen } from "./state/selectors.js";
import { shortTime, span } from "./times.js";
import { drawForm } from "./toolforms.js";

/** @import { ToldCall } from "parley/frames" */
/** @import { Slot } from "./blocks.js" */
/** @import { Shown } from "./message.js" */
/** @import { Held } from "./state/merging.js" */

/** @type {Record<string, string>} */
const WORDS = { error: "failed", cancelled: "cancelled", interrupted: "interrupted" };
const SHORTEST_SHOWN_MS = 1_000;

/** @type {WeakMap<HTMLElement, Map<number, HTMLElement>>} */
const groups = new WeakMap(); // body -> Map of round -> its element

/**
 * Puts each round of calls behind the block that it follows.
 * @param {HTMLElement} body
 * @param {Shown} message
 * @param {Slot[] | undefined} slots what `drawBlocks` has returned for `body`
 * @param {{ mayWrite: boolean, joined: Held[] }} context `joined`: the messages that joined the answer behind a round
 */
export function drawTools(body, message, slots, { mayWrite, joined }) {
  const rounds = grouped(message.tool_calls ?? []);
  const drawn = groups.get(body) ?? new Map();
  groups.set(body, drawn);
  for (const [round, element] of drawn) {
    if (rounds.has(round)) continue;
    element.remove();
    drawn.delete(round);
  }
  /** @type {HTMLElement | null} */
  let before = null; // the group before, where no block stands between
  let at = -1;
  for (const [round, calls] of rounds) {
    let group = drawn.get(round);
    if (!group) drawn.set(round, (group = clone("tool-round-template")));
    const block = Math.min(calls[0]?.block ?? 0, slots?.length ?? 0);
    const behind = block === at && before ? before : slots?.[block - 1]?.node.closest(".block") ?? null;
    if (!behind && body.firstElementChild !== group) body.prepend(group);
    if (behind && behind.nextElementSibling !== group) behind.after(group);
    for (const [index, call] of calls.entries()) {
      drawCall(/** @type {HTMLElement} */ (group.children[index] ?? group.appendChild(clone("tool-call-template"))), call, message, mayWrite);
    }
    const names = joined.filter(({ taken_round }) => taken_round === round).map(({ author }) => `${author?.name ?? "someone"}’s`);
    if (names.length) group.dataset.joined = `Here ${names.join(" and ")} ${names.length > 1 ? "messages" : "message"} joined in.`;
    [before, at] = [group, block];
  }
}

/**
 * By their rounds. (Not every browser has Map.groupBy.)
 * @param {ToldCall[]} calls
 */
function grouped(calls) {
  /** @type {Map<number, ToldCall[]>} */
  const rounds = new Map();
  for (const call of calls) rounds.set(call.round, [...(rounds.get(call.round) ?? []), call]);
  return rounds;
}

/**
 * @param {HTMLElement} element
 * @param {ToldCall} call
 * @param {Shown} message
 * @param {boolean} mayWrite
 */
function drawCall(element, call, message, mayWrite) {
  const asks = call.status === "pending" && call.approval === "asked" && isOpen(message);
  element.dataset.call = call.id;
  const isAsked = formCalls(message).includes(call);
  element.dataset.status = asks || isAsked ? "asks" : call.status;
  setText(part(element, "tool-title"), call.title);
  setText(part(element, "tool-note"), note(call, message));
  setText(part(element, "tool-time"), duration(call));
  setText(part(element, "tool-arguments"), readable(call.arguments));
  setHidden(part(element, "tool-given"), !readable(call.arguments));
  setText(part(element, "tool-result"), call.result ?? "");
  setHidden(part(element, "tool-found"), !call.result);
  drawAttachments(part(element, "tool-images"), call.images ?? []);
  drawForm(element, call, isAsked, mayWrite);
  setHidden(part(element, "tool-ask"), !asks);
  if (asks) {
    setText(part(element, "tool-question"), `The assistant wants to do this: ${call.title}.${until(call)}`);
    setHidden(part(element, "tool-choices"), !mayWrite);
    setHidden(part(element, "tool-change"), !mayWrite);
    if (!element.dataset.opened) {
      one(element, "details").open = true; // one should see what one allows
      changed(element).value = editable(call.arguments);
    }
    element.dataset.opened = "true";
  }
}

/** @param {ToldCall} call */
function until({ expires_at: at }) {
  return at ? ` It is denied ${shortTime(at)} if nobody decides.` : "";
}

/** @param {HTMLElement} element a call's */
const changed = (element) => /** @type {HTMLTextAreaElement} */ (part(element, "tool-changed"));

/** What JavaScript would write otherwise than it has read it: a long number, a fraction, an exponent. */
const NOT_EXACT = /\d{16}|[.eE]/;

/**
 * Arguments as one edits them: in lines, where that changes no number.
 * @param {string} written
 */
export function editable(written) {
  const isExact = !NOT_EXACT.test(written.replace(/"(?:[^"\\]|\\.)*"/g, ""));
  try {
    return isExact ? JSON.stringify(JSON.parse(written || "{}"), null, 2) : written;
  } catch {
    return written;
  }
}

/**
 * What somebody has written beside their decision, as the API takes it.
 * @param {HTMLElement} element a call's
 * @param {ToldCall} call
 * @param {"approve" | "deny"} decision
 */
export function saidWith(element, call, decision) {
  if (decision === "deny") {
    const reason = /** @type {HTMLInputElement} */ (part(element, "tool-reason")).value.trim();
    return reason ? { reason } : undefined;
  }
  const written = changed(element).value;
  return written === editable(call.arguments) ? undefined : { arguments: written };
}

/**
 * @param {ToldCall} call
 * @param {Shown} message
 */
function note(call, message) {
  if (call.status === "running") return message.toolTexts?.[call.id] ?? call.doing;
  const isChanged = call.original_arguments != null ? "changed" : "";
  const decided = call.decided_by ? `${call.approval === "denied" ? "denied" : "allowed"} by ${call.decided_by.name}` : "";
  const word = call.approval === "denied" ? "" : (WORDS[call.status] ?? "");
  const summary = [WORDS[call.status], "Denied", "Cancelled", "Interrupted"].includes(call.summary) ? "" : call.summary;
  return [word, summary, isChanged, decided, filled(call)].filter(Boolean).join(" · ");
}

/** @param {ToldCall} call */
function filled({ form, filled_by: by }) {
  if (!by) return "";
  const how = form?.action === "accept" ? "answered" : form?.action === "decline" ? "declined" : "dismissed";
  return `${how} by ${by.name}`;
}

/** @param {ToldCall} call */
function duration({ started_at: from, finished_at: to }) {
  if (!from || !to) return "";
  const ms = Date.parse(to) - Date.parse(from);
  return ms < SHORTEST_SHOWN_MS ? "" : span(ms);
}

/**
 * Arguments as one reads them: a line for each. What isn't JSON stays as the model wrote it.
 * @param {string} written
 */
function readable(written) {
  if (!written) return "";
  try {
    const found = JSON.parse(written);
    if (typeof found !== "object" || Array.isArray(found) || !found) return written;
    return Object.entries(found)
      .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
      .join("\n");
  } catch {
    return written;
  }
}

/**
 * What an answer with tools is doing, in place of "Writing"; or "".
 * @param {Shown} message
 */
export function toolStatus(message) {
  const [asked] = askedCalls(message);
  if (asked && message.status === "pending") return `Waiting for somebody to allow: ${asked.title}`;
  const [asking] = formCalls(message);
  if (asking) return `Waiting for somebody to answer: ${asking.title}`;
  const [running, ...others] = (message.tool_calls ?? []).filter((call) => call.status === "running");
  if (!running) return "";
  const first = message.toolTexts?.[running.id] ?? running.doing;
  return others.length ? `${first}, and ${others.length} more` : first;
}
