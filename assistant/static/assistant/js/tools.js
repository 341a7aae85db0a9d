/** The tool calls of an answer, between the blocks of its text: what was done, for how long, and what waits for a yes. */

import { drawAttachments } from "./attachments.js";
import { clone, part, setHidden, setText } from "./parts.js";
import { askedCalls, formCalls, isOpen } from "./state/selectors.js";
import { span } from "./times.js";
import { drawForm } from "./toolforms.js";

const WORDS = { error: "failed", cancelled: "cancelled", interrupted: "interrupted" };
const SHORTEST_SHOWN_MS = 1_000;

const groups = new WeakMap(); // body -> Map of round -> its element

/**
 * Puts each round of calls behind the block that it follows. `slots` is what `drawBlocks` has returned for `body`; `joined`
 * are the messages that joined the answer behind a round.
 */
export function drawTools(body, message, slots, { mayWrite, joined }) {
  const rounds = Map.groupBy ? Map.groupBy(message.tool_calls ?? [], (call) => call.round) : grouped(message.tool_calls ?? []);
  const drawn = groups.get(body) ?? new Map();
  groups.set(body, drawn);
  for (const [round, element] of drawn) {
    if (rounds.has(round)) continue;
    element.remove();
    drawn.delete(round);
  }
  let before = null; // the group before, where no block stands between
  let at = -1;
  for (const [round, calls] of rounds) {
    let group = drawn.get(round);
    if (!group) drawn.set(round, (group = clone("tool-round-template")));
    const block = Math.min(calls[0].block, slots?.length ?? 0);
    const behind = block === at && before ? before : block ? slots[block - 1].node.closest(".block") : null;
    if (behind ? behind.nextElementSibling !== group : body.firstElementChild !== group) behind ? behind.after(group) : body.prepend(group);
    calls.forEach((call, index) => drawCall(group.children[index] ?? group.appendChild(clone("tool-call-template")), call, message, mayWrite));
    const names = joined.filter(({ taken_round }) => taken_round === round).map(({ author }) => `${author?.name ?? "someone"}’s`);
    if (names.length) group.dataset.joined = `Here ${names.join(" and ")} ${names.length > 1 ? "messages" : "message"} joined in.`;
    [before, at] = [group, block];
  }
}

function grouped(calls) {
  const rounds = new Map();
  for (const call of calls) rounds.set(call.round, [...(rounds.get(call.round) ?? []), call]);
  return rounds;
}

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
    setText(part(element, "tool-question"), `The assistant wants to do this: ${call.title}.`);
    setHidden(part(element, "tool-choices"), !mayWrite);
    const details = element.querySelector("details");
    if (!element.dataset.opened) details.open = element.dataset.opened = true; // one should see what one allows
  }
}

function note(call, message) {
  if (call.status === "running") return message.toolTexts?.[call.id] ?? call.doing;
  const decided = call.decided_by ? `${call.approval === "denied" ? "denied" : "allowed"} by ${call.decided_by.name}` : "";
  const word = call.approval === "denied" ? "" : (WORDS[call.status] ?? "");
  const summary = [WORDS[call.status], "Denied", "Cancelled", "Interrupted"].includes(call.summary) ? "" : call.summary;
  return [word, summary, decided, filled(call)].filter(Boolean).join(" · ");
}

function filled({ form, filled_by: by }) {
  if (!by) return "";
  return `${{ accept: "answered", decline: "declined" }[form?.action] ?? "dismissed"} by ${by.name}`;
}

function duration({ started_at: from, finished_at: to }) {
  if (!from || !to) return "";
  const ms = Date.parse(to) - Date.parse(from);
  return ms < SHORTEST_SHOWN_MS ? "" : span(ms);
}

/** Arguments as one reads them: a line for each. What isn't JSON stays as the model wrote it. */
function readable(written) {
  if (!written || typeof written !== "string") return "";
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

/** What an answer with tools is doing, in place of "Writing"; or "". */
export function toolStatus(message) {
  const asked = askedCalls(message);
  if (asked.length && message.status === "pending") return `Waiting for somebody to allow: ${asked[0].title}`;
  const asking = formCalls(message);
  if (asking.length) return `Waiting for somebody to answer: ${asking[0].title}`;
  const running = (message.tool_calls ?? []).filter((call) => call.status === "running");
  if (!running.length) return "";
  const first = message.toolTexts?.[running[0].id] ?? running[0].doing;
  return running.length > 1 ? `${first}, and ${running.length - 1} more` : first;
}
