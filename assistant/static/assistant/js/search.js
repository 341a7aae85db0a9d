// @ts-check
/** The sheet in which one finds what was said: typed, listed, opened, all with the keyboard. Loaded when it is first wanted. */

import { api } from "./api.js";
import { refusal } from "./http.js";
import { byId, clone, near, one, part, setHidden, setText } from "./parts.js";
import { shortTime } from "./times.js";

/** @import { Found, MessageFound, SnippetPiece } from "parley/api" */

const PAUSE_MS = 150;

/**
 * urlOf() gives the address that shows a session, or a message in it. Returns what opens the sheet.
 * @param {{ urlOf: (session: string, message?: string) => string, modelLabel: (id: string | null) => string }} options
 */
export function showSearch({ urlOf, modelLabel }) {
  const sheet = byId("search-sheet");
  const field = one(sheet, "input");
  const list = one(sheet, "[data-found]");
  const status = one(sheet, "[data-found-status]");
  const more = one(sheet, "[data-found-more]");
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let asked = 0; // only the answer to the last question is shown
  /** @type {string | null} */
  let last = null; // the id of the oldest message that is listed

  function open() {
    if (document.querySelector("dialog[open]")) return;
    /** @type {HTMLElement | null} */ (document.querySelector(":popover-open"))?.hidePopover();
    sheet.showModal();
    field.select();
  }

  /** @param {string | null} before what was said before that message; null: the newest */
  async function find(before) {
    const mine = ++asked;
    const query = field.value.trim();
    if (!query) return show({ sessions: [], messages: [], has_more: false }, "", null);
    try {
      const found = await api.search(query, before);
      if (mine === asked) show(found, query, before);
    } catch (error) {
      if (mine === asked) setText(status, refusal(error).message);
    }
    return undefined;
  }

  /**
   * @param {Found} found
   * @param {string} query
   * @param {string | null} before
   */
  function show(found, query, before) {
    const items = [
      ...found.sessions.map((session) => drawn({ title: session.title, href: urlOf(session.id), about: "Session" })),
      ...found.messages.map(drawMessage),
    ];
    if (before) list.append(...items);
    else list.replaceChildren(...items);
    last = found.messages.at(-1)?.id ?? null;
    setHidden(more, !found.has_more);
    const count = list.children.length;
    const plus = found.has_more ? " and more" : "";
    setText(status, !query ? "" : count ? `${count}${plus} found` : "Nothing found. Whole words count, and the beginning of the last one.");
    if (before && items[0]) one(items[0], "a").focus();
  }

  /** @param {MessageFound} message */
  function drawMessage({ id, session, role, author, model, created_at, snippet }) {
    const name = role === "assistant" ? modelLabel(model) : (author?.name ?? "Someone");
    const about = `${name} · ${shortTime(created_at)}`;
    return drawn({ title: session.title, href: urlOf(session.id, id), about, snippet });
  }

  /** @param {{ title: string, href: string, about: string, snippet?: SnippetPiece[] }} what */
  function drawn({ title, href, about, snippet = [] }) {
    const item = clone("found-template");
    one(item, "a").href = href;
    setText(part(item, "title"), title);
    setText(part(item, "about"), about);
    const text = part(item, "snippet");
    setHidden(text, !snippet.length);
    text.append(...snippet.map((piece) => (piece.mark ? marked(piece.text) : piece.text)));
    return item;
  }

  /** @param {string} text */
  function marked(text) {
    const mark = clone("mark-template");
    mark.textContent = text;
    return mark;
  }

  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(find, PAUSE_MS, null);
  });
  more.addEventListener("click", () => last && find(last));
  one(sheet, "form").addEventListener("submit", (event) => {
    event.preventDefault();
    list.querySelector("a")?.click();
  });
  list.addEventListener("click", (event) => near(event, "a") && sheet.close());

  sheet.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.preventDefault(); // a field for searching would only be emptied by it
      return sheet.close();
    }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return undefined;
    event.preventDefault();
    const stops = [field, ...list.querySelectorAll("a"), ...(more.hidden ? [] : [more])];
    const at = stops.findIndex((stop) => stop === document.activeElement);
    const next = stops[Math.max(0, Math.min(stops.length - 1, at + (event.key === "ArrowDown" ? 1 : -1)))];
    next?.focus();
    return next?.scrollIntoView({ block: "nearest" });
  });

  return open;
}
