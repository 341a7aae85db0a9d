/** What stands folded up under a message: which models were tried in vain, and what models are told instead of it. */

import { part, setHidden, setText } from "./parts.js";

const WHY = {
  rate_limited: "busy",
  provider_error: "had a problem",
  timeout: "silent",
  auth: "refused the key",
  out_of_credit: "no credit left",
  invalid_model: "not known there",
  stalled: "said nothing",
};

export function drawAsides(element, message, { summary, labelOf }) {
  const tried = message.tried ?? [];
  setHidden(part(element, "tried"), !tried.length);
  if (tried.length) {
    setText(part(element, "tried-title"), triedTitle(message));
    setText(part(element, "tried-text"), tried.map((one) => `${labelOf(one.model)}: ${WHY[one.code] ?? one.code} after ${one.seconds} s`).join("\n"));
  }
  setHidden(part(element, "summary"), !summary);
  if (summary) setText(part(element, "summary-text"), summary.content);
}

/** An answer that failed is none before which others were asked. */
export function triedTitle({ status }) {
  return status === "error" ? "Asked in vain" : "Asked in vain before this answer";
}

/** The summary that stands for everything up to `entry`, the one before `next`; or null. */
export function summaryAt(summaries, entry, next) {
  const from = entry.message.position;
  const to = next?.message.position ?? Infinity;
  return summaries.find(({ until_position: until }) => until >= from && until < to) ?? null;
}
