// @ts-check
/** The conversation as it is shown: entries in order, each with its versions, and the gaps between them. Pure. */

/** @import { Held } from "./merging.js" */
/** @import { State } from "./reducer.js" */

/**
 * Stands where some messages are not loaded; `gap` is the id of the message before.
 * @typedef {{ id: string, gap: string, role: "gap", content: "", status: "success", position?: undefined, outbox?: undefined }} Gap
 */

/**
 * A question or an answer, of all its versions the one that is shown. `of` is the id by which that is chosen.
 * @template {{ id: string }} [M=Held | Gap]
 * @typedef {{ message: M, versions: Held[] | null, of?: string | null }} Entry
 */

const STRETCH = 16; // positions

/** @type {WeakMap<Held, Entry<Held>>} */
const alone = new WeakMap(); // message -> its entry: the same object as long as the message is the same
/** @type {WeakMap<Held[], Map<string, string>>} */
const headsOf = new WeakMap(); // messages -> what `headsIn` has found in them

/**
 * Of each question that was asked anew, and of what was asked instead: the id of the newest in that row.
 * @param {Held[]} messages
 */
export function headsIn(messages) {
  const known = headsOf.get(messages);
  if (known) return known;
  /** @type {Map<string, string>} */
  const found = new Map();
  for (let i = messages.length - 1; i >= 0; i--) {
    const { id, superseded_by: next } = /** @type {Held} */ (messages[i]);
    if (!next) continue;
    const head = found.get(next) ?? next;
    found.set(next, head).set(id, head);
  }
  headsOf.set(messages, found);
  return found;
}

/**
 * By what the version of a question is chosen; that of its answer is chosen by its id.
 * @param {string} head
 */
export function rowOf(head) {
  return `row-${head}`;
}

/**
 * The messages of the conversation in order: one entry per question and per answer, whose versions are one entry.
 * An entry of one message is the same object each time, so that a view sees at a glance that there is nothing to draw.
 * @param {State} state
 */
export function thread(state) {
  /** @type {Entry[]} */
  const entries = [];
  const newest = headsIn(state.messages);
  /** @type {Map<string, Held[]>} */
  const rows = new Map(); // head -> the versions of that question
  const hidden = new Set(); // questions that are not shown, and so neither are their answers
  for (const message of state.messages) {
    const head = newest.get(message.id);
    if (head) rows.set(head, [...(rows.get(head) ?? []), message]);
  }
  const gaps = new Set(state.gaps);
  for (const message of state.messages) {
    add(message);
    if (gaps.has(message.id)) entries.push({ message: gapAfter(message), versions: null });
  }
  return entries;

  /** @param {Held} message */
  function add(message) {
    const isQuestion = message.role === "user";
    if (isQuestion && (message.status === "pending" || message.status === "cancelled")) return; // queued, or withdrawn
    if (!isQuestion && !entries.length && state.hasMore) return; // its question isn't loaded yet
    if (!isQuestion && hidden.has(message.reply_to)) return;
    const head = isQuestion && newest.get(message.id);
    if (head) {
      const of = rowOf(head);
      if (message.id === (state.chosen[of] ?? head)) entries.push({ message, versions: rows.get(head) ?? null, of });
      else hidden.add(message.id);
      return;
    }
    const last = entries.at(-1);
    if (!isQuestion && last?.versions && message.reply_to && last.of === message.reply_to) {
      const versions = [...last.versions, message];
      const chosen = state.chosen[message.reply_to];
      const shown = versions.find(({ id }) => id === chosen) ?? message;
      entries[entries.length - 1] = { message: shown, versions, of: message.reply_to };
      return;
    }
    let entry = alone.get(message);
    if (!entry) alone.set(message, (entry = { message, versions: isQuestion ? null : [message], of: message.reply_to }));
    const taker = message.taken_by ? entries.findLastIndex((each) => each.versions?.some(({ id }) => id === message.taken_by)) : -1;
    if (taker < 0) entries.push(entry);
    else entries.splice(taker, 0, entry); // it joined in while that was being written, and is part of what it answers
  }
}

/**
 * For each entry the number of its stretch: some messages that follow each other, the same ones whatever is loaded.
 * @param {Entry<{ id: string, position?: number }>[]} entries
 */
export function stretchesOf(entries) {
  let number = 0; // a message that joined an answer stands before it though it came later
  return entries.map(({ message }) => (number = Math.max(number, Math.floor((message.position ?? 0) / STRETCH))));
}

/**
 * @param {Held} message
 * @returns {Gap}
 */
function gapAfter({ id }) {
  return { id: `gap-${id}`, gap: id, role: "gap", content: "", status: "success" };
}
