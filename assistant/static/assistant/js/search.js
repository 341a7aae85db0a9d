/** The sheet in which one finds what was said: typed, listed, opened, all with the keyboard. */

import { api } from "./api.js";
import { clone, part, setHidden, setText } from "./parts.js";
import { shortTime } from "./times.js";

const PAUSE_MS = 150;

/** urlOf(sessionId, messageId?) gives the address that shows it. */
export function showSearch({ urlOf, modelLabel }) {
  const sheet = document.getElementById("search-sheet");
  const field = sheet.querySelector("input");
  const list = sheet.querySelector("[data-found]");
  const status = sheet.querySelector("[data-found-status]");
  const more = sheet.querySelector("[data-found-more]");
  let timer = null;
  let asked = 0; // only the answer to the last question is shown
  let last = null; // the id of the oldest message that is listed

  function open() {
    if (document.querySelector("dialog[open]")) return;
    document.querySelector(":popover-open")?.hidePopover();
    sheet.showModal();
    field.select();
  }

  async function find(before = null) {
    const mine = ++asked;
    const query = field.value.trim();
    if (!query) return show({ sessions: [], messages: [], has_more: false }, "");
    try {
      const found = await api.search(query, before);
      if (mine !== asked) return undefined;
      return show(found, query, before);
    } catch (error) {
      return mine === asked && setText(status, error.message);
    }
  }

  function show(found, query, before = null) {
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
    if (before) items[0]?.querySelector("a").focus();
  }

  function drawMessage({ id, session, role, author, model, created_at, snippet }) {
    const name = role === "assistant" ? modelLabel(model) : (author?.name ?? "Someone");
    const about = `${name} · ${shortTime(created_at)}`;
    return drawn({ title: session.title, href: urlOf(session.id, id), about, snippet });
  }

  function drawn({ title, href, about, snippet = [] }) {
    const item = clone("found-template");
    item.querySelector("a").href = href;
    setText(part(item, "title"), title);
    setText(part(item, "about"), about);
    const text = part(item, "snippet");
    setHidden(text, !snippet.length);
    text.append(...snippet.map((piece) => (piece.mark ? marked(piece.text) : piece.text)));
    return item;
  }

  function marked(text) {
    const mark = clone("mark-template");
    mark.textContent = text;
    return mark;
  }

  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(find, PAUSE_MS);
  });
  more.addEventListener("click", () => last && find(last));
  sheet.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    list.querySelector("a")?.click();
  });
  list.addEventListener("click", (event) => event.target.closest("a") && sheet.close());

  sheet.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.preventDefault(); // a field for searching would only be emptied by it
      return sheet.close();
    }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return undefined;
    event.preventDefault();
    const stops = [field, ...list.querySelectorAll("a"), ...(more.hidden ? [] : [more])];
    const at = stops.indexOf(document.activeElement);
    const next = stops[Math.max(0, Math.min(stops.length - 1, at + (event.key === "ArrowDown" ? 1 : -1)))];
    next.focus();
    return next.scrollIntoView({ block: "nearest" });
  });

  document.querySelector("[data-search-open]").addEventListener("click", open);
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    event.preventDefault();
    open();
  });
}
