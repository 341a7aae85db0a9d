/**
 * Mentions in a text: "@" and a name, as docs/queue.md has it. Pure. The server decides what is asked; this is for the hint
 * of what sending will do, for completing a name, and for marking names in what is shown.
 */

export const ASSISTANT = "assistant";

const BETWEEN = /[\s_-]+/u;
const CODE = /(`{3,}|~{3,})[\s\S]*?(?:\1|$)|(`+)[\s\S]*?\2/gu;

export const keyOf = (name) => name.split(BETWEEN).join("").toLowerCase();

/** What a participant is called: by name, and by user name where that is another one. */
export const namesOf = ({ name, handle }) => [name, handle].filter(Boolean);

/** A pattern that finds the mentions of any of these names, the longest first; null if there is no name. */
export function mentionPattern(names) {
  const words = [...new Set(names)].filter((name) => keyOf(name)).sort((a, b) => keyOf(b).length - keyOf(a).length);
  if (!words.length) return null;
  const any = words.map((name) => name.split(BETWEEN).filter(Boolean).map(escaped).join("(?:\\s+|[_-])?")).join("|");
  return new RegExp(`(?<![\\p{L}\\p{N}_@.+/-])@(${any})(?![\\p{L}\\p{N}_]|[.@-][\\p{L}\\p{N}_])`, "giu");
}

function escaped(word) {
  return word.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}

/** Whether the text, outside of code, mentions one of these names. */
export function mentions(text, names) {
  return text.includes("@") && Boolean(mentionPattern(names)?.test(text.replace(CODE, " ")));
}

/** The mention that is being typed before `caret`: {start, query}, or null. */
export function typedMention(text, caret) {
  const found = /(?:^|[^\p{L}\p{N}_@.+/-])@([\p{L}\p{N}_.-]{0,40})$/u.exec(text.slice(0, caret));
  return found && { start: caret - found[1].length - 1, query: found[1] };
}

/** Of {name, ...} those whose name, or a word of it, begins with the query. */
export function matching(people, query) {
  const wanted = query.toLowerCase();
  return people.filter(({ name }) => [name, ...name.split(BETWEEN)].some((word) => word.toLowerCase().startsWith(wanted)));
}
