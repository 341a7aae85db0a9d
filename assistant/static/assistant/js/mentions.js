// @ts-check
/**
 * Mentions in a text: "@" and a name, as docs/queue.md has it. Pure. The server decides what is asked; this is for the hint
 * of what sending will do, for completing a name, and for marking names in what is shown.
 */

export const ASSISTANT = "assistant";

const BETWEEN = /[\s_-]+/u;
const CODE = /(`{3,}|~{3,})[\s\S]*?(?:\1|$)|(`+)[\s\S]*?\2/gu;

/** By which names are compared. @param {string} name */
export const keyOf = (name) => name.split(BETWEEN).join("").toLowerCase();

/**
 * What a participant is called: by name, and by user name where that is another one.
 * @param {{ name: string | null, handle?: string | null }} person
 */
export const namesOf = ({ name, handle }) => [name, handle].flatMap((each) => each || []);

/**
 * A pattern that finds the mentions of any of these names, the longest first; null if there is no name.
 * @param {string[]} names
 */
export function mentionPattern(names) {
  const words = [...new Set(names)].filter((name) => keyOf(name)).sort((a, b) => keyOf(b).length - keyOf(a).length);
  if (!words.length) return null;
  const any = words.map((name) => name.split(BETWEEN).filter(Boolean).map(escaped).join("(?:\\s+|[_-])?")).join("|");
  return new RegExp(`(?<![\\p{L}\\p{N}_@.+/-])@(${any})(?![\\p{L}\\p{N}_]|[.@-][\\p{L}\\p{N}_])`, "giu");
}

/** @param {string} word */
function escaped(word) {
  return word.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}

/**
 * Whether the text, outside of code, mentions one of these names.
 * @param {string} text
 * @param {string[]} names
 */
export function mentions(text, names) {
  return text.includes("@") && Boolean(mentionPattern(names)?.test(text.replace(CODE, " ")));
}

/**
 * The mention that is being typed before `caret`, or null.
 * @param {string} text
 * @param {number} caret
 */
export function typedMention(text, caret) {
  const found = /(?:^|[^\p{L}\p{N}_@.+/-])@([\p{L}\p{N}_.-]{0,40})$/u.exec(text.slice(0, caret));
  const query = found?.[1];
  return query === undefined ? null : { start: caret - query.length - 1, query };
}

/**
 * Of these people those whose name, or a word of it, begins with the query.
 * @template {{ name: string }} P
 * @param {P[]} people
 * @param {string} query
 */
export function matching(people, query) {
  const wanted = query.toLowerCase();
  return people.filter(({ name }) => [name, ...name.split(BETWEEN)].some((word) => word.toLowerCase().startsWith(wanted)));
}
