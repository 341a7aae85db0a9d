// @ts-check
/** What answers have cost, in words: at an answer when one asks for it, and for the whole session in its settings. */

import { api } from "./api.js";
import { byId, one, setText } from "./parts.js";
import { onOpen } from "./sheets.js";

/** @import { AnswerUsage } from "parley/api" */

const number = new Intl.NumberFormat("en");

/** @param {AnswerUsage} usage */
export function spokenUsage(usage) {
  const { prompt_tokens: read, completion_tokens: written, cost, calls, is_estimate: isEstimate, has_unknown_cost: isPart } = usage;
  const { cached_tokens: cached, reasoning_tokens: thought } = usage; // parts of the two
  const tokens = `${number.format(read)} ${read === 1 ? "token" : "tokens"} read${cached ? ` (${number.format(cached)} from a cache)` : ""}`;
  const parts = [`${tokens}, ${number.format(written)} written${thought ? ` (${number.format(thought)} of it thinking)` : ""}`];
  if (cost !== null && cost !== undefined) parts.push(`${isPart ? "at least " : ""}${dollars(cost)}`);
  if (calls && calls > 1) parts.push(`${calls} calls`);
  return `${isEstimate ? "About " : ""}${parts.join(" · ")}`;
}

/** @param {number} cost */
function dollars(cost) {
  if (!cost) return "$0";
  return `$${cost >= 0.1 ? cost.toFixed(2) : Number(cost.toPrecision(2))}`;
}

/**
 * The session's total, each time its settings are opened.
 * @param {string} sessionId
 */
export function showSessionUsage(sessionId) {
  const sheet = byId("settings-sheet");
  const line = one(sheet, "[data-session-usage]");
  onOpen(sheet, async () => {
    try {
      const usage = await api.usage(sessionId);
      setText(line, usage.calls ? `Answers here have used: ${spokenUsage(usage)}.` : "No answer here has used anything yet.");
    } catch {
      setText(line, "");
    }
  });
}
