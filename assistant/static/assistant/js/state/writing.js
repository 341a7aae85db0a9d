// @ts-check
/** How an answer grows while it is written: its text, what its model thinks, what its tools do. Pure. */

import { indexOf, replaced } from "./merging.js";
import { isOpen } from "./selectors.js";
import { grown, paused } from "./thinking.js";

/** @import { Blocks, Delta, ReasoningDelta, Reset, ToolCalls, ToolStatus, TurnStatus } from "parley/frames" */
/** @import { Held } from "./merging.js" */
/** @import { State, Timed } from "./reducer.js" */

/**
 * @param {State} state
 * @param {Timed<Delta>} frame
 */
export function delta(state, frame) {
  return taken(state, frame, (held) => held.seq, (held, isFirst) => ({
    ...held,
    seq: frame.seq,
    content: isFirst ? frame.text : held.content + frame.text,
    html: withBlocks(isFirst ? [] : (held.html ?? []), frame.blocks),
    reasoning: isFirst ? null : paused(held.reasoning, frame.at),
  }));
}

/**
 * @param {State} state
 * @param {Timed<ReasoningDelta>} frame
 */
export function reasoningDelta(state, frame) {
  return taken(state, frame, (held) => held.reasoning?.seq, (held, isFirst) => ({
    ...held,
    seq: isFirst ? 0 : held.seq,
    reasoning: grown(isFirst ? null : held.reasoning, frame),
  }));
}

/**
 * What a delta makes of the message it is about: seqOf(held) counts the deltas of its kind that are held,
 * change(held, isFirst) takes it in, `isFirst` if it begins an attempt. Held already, it changes nothing; behind a hole, or
 * in an attempt whose beginning was missed, it asks for a sync.
 * @param {State} state
 * @param {Timed<Delta | ReasoningDelta>} frame
 * @param {(held: Held) => number | undefined} seqOf
 * @param {(held: Held, isFirst: boolean) => Held} change
 * @returns {State}
 */
function taken(state, frame, seqOf, change) {
  const index = indexOf(state.messages, frame.message_id);
  const held = state.messages[index];
  if (!held) return missed(state, frame.message_id);
  if (!isOpen(held) || frame.attempt < held.attempt) return state;
  const isFirst = frame.attempt > held.attempt;
  if (isFirst ? frame.seq !== 1 || held.content || held.reasoning?.content : frame.seq !== (seqOf(held) ?? 0) + 1) {
    const isOld = !isFirst && frame.seq <= (seqOf(held) ?? 0);
    return isOld || state.stale ? state : { ...state, stale: true };
  }
  const next = change(held, isFirst);
  return replaced(state, index, { ...next, status: "processing", attempt: frame.attempt, alive: true, waitsFor: null, newsAt: frame.at });
}

/**
 * @param {State} state
 * @param {Timed<Reset>} frame
 */
export function reset(state, frame) {
  const index = indexOf(state.messages, frame.message_id);
  const held = state.messages[index];
  if (!held) return missed(state, frame.message_id);
  if (!isOpen(held) || frame.attempt < held.attempt) return state;
  const shown = (held.seq ?? 0) + (held.reasoning?.seq ?? 0);
  if (frame.attempt === held.attempt && frame.seq < shown) return state;
  const { attempt, seq, content, reasoning = null } = frame;
  return replaced(state, index, { ...held, attempt, seq, content, html: frame.html ?? [], reasoning, newsAt: frame.at });
}

/**
 * The calls of an answer as they stand now. They come apart from the message, so their version is kept apart.
 * @param {State} state
 * @param {Timed<ToolCalls>} frame
 */
export function toolCalls(state, { message_id, version, tool_calls, at }) {
  const index = indexOf(state.messages, message_id);
  const held = state.messages[index];
  if (!held) return missed(state, message_id);
  if (version < (held.callsVersion ?? held.version ?? 0)) return state;
  const reasoning = paused(held.reasoning, at);
  return replaced(state, index, { ...held, tool_calls, reasoning, callsVersion: version, newsAt: at });
}

/**
 * What a running tool says about itself.
 * @param {State} state
 * @param {Timed<ToolStatus>} frame
 */
export function toolStatus(state, { message_id, attempt, call_id, text, at }) {
  const index = indexOf(state.messages, message_id);
  const held = state.messages[index];
  if (!held || !isOpen(held) || attempt < held.attempt) return state;
  return replaced(state, index, { ...held, toolTexts: { ...held.toolTexts, [call_id]: text }, newsAt: at });
}

/**
 * What an answer is waiting for; the next delta takes its place.
 * @param {State} state
 * @param {Timed<TurnStatus>} frame
 */
export function turnStatus(state, { message_id, attempt, text, at }) {
  const index = indexOf(state.messages, message_id);
  const held = state.messages[index];
  if (!held || !isOpen(held) || attempt < held.attempt) return state;
  return replaced(state, index, { ...held, waitsFor: text, newsAt: at });
}

/**
 * A frame about an unknown message: a sync may bring it. If it doesn't, the message is older than what is loaded.
 * @param {State} state
 * @param {string} id
 * @returns {State}
 */
function missed(state, id) {
  return state.elsewhere.includes(id) ? state : { ...state, stale: true, elsewhere: [...state.elsewhere, id] };
}

/**
 * From the top-level block `blocks.from` on the text is drawn like these.
 * @param {string[]} html
 * @param {Blocks | undefined} blocks
 */
function withBlocks(html, blocks) {
  return blocks ? [...html.slice(0, blocks.from), ...blocks.html] : html;
}
