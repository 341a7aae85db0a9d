// @ts-check
/** What stands under a message: which tools it was written without; folded up, which models were tried in vain, and what
 * models are told instead of it. */

import { part, setHidden, setText } from "./parts.js";

/** @import { Summary, ToldMessage } from "parley/frames" */

/** @type {Record<string, string>} */
const WHY = {
  rate_limited: "busy",
  provider_error: "had a problem",
  timeout: "silent",
  auth: "refused the key",
  out_of_credit: "no credit left",
  invalid_model: "not known there",
  stalled: "said nothing",
};

/**
 * Why a server is missing, as the end of a sentence.
 * @param {string} why
 */
export function whyNot(why) {
  if (why === "starting") return "it was still starting. Ask again in a moment to have them";
  return why === "unauthorized" ? "an administrator has to connect it again" : "it could not be reached";
}

/**
 * @param {HTMLElement} element
 * @param {Pick<ToldMessage, "missing" | "tried"> & { status: string }} message
 * @param {{ summary: Summary | null, labelOf: (model: string) => string }} context
 */
export function drawAsides(element, message, { summary, labelOf }) {
  const missing = missingText(message);
  setHidden(part(element, "missing"), !missing);
  setText(part(element, "missing"), missing);
  const tried = message.tried ?? [];
  setHidden(part(element, "tried"), !tried.length);
  if (tried.length) {
    setText(part(element, "tried-title"), triedTitle(message));
    setText(part(element, "tried-text"), tried.map((one) => `${labelOf(one.model)}: ${WHY[one.code] ?? one.code} after ${one.seconds} s`).join("\n"));
  }
  setHidden(part(element, "summary"), !summary);
  if (summary) setText(part(element, "summary-text"), summary.content);
}

/**
 * Without which servers' tools an answer is written, and why; or "".
 * @param {Pick<ToldMessage, "missing">} message
 */
export function missingText({ missing }) {
  return (missing ?? []).map(({ title, why }) => `Without the tools of ${title}: ${whyNot(why)}.`).join(" ");
}

/**
 * An answer that failed is none before which others were asked.
 * @param {{ status: string }} message
 */
export function triedTitle({ status }) {
  return status === "error" ? "Asked in vain" : "Asked in vain before this answer";
}

/**
 * The summary that stands for everything up to `entry`, the one before `next`; or null.
 * @param {Summary[]} summaries
 * @param {{ message: { position?: number } }} entry
 * @param {{ message: { position?: number } }} [next]
 */
export function summaryAt(summaries, entry, next) {
  const from = entry.message.position ?? Infinity;
  const to = next?.message.position ?? Infinity;
  return summaries.find(({ until_position: until }) => until >= from && until < to) ?? null;
}
