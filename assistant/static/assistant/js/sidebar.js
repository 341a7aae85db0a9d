// @ts-check
/** The list of sessions, live: what is unread, what runs, what was put away; and the menu of one session. */

import { pageAddress, socketAddress } from "./addresses.js";
import { api } from "./api.js";
import { showDrawer } from "./drawer.js";
import { applyList, emptyList } from "./state/list.js";
import { openMenu as openMenuBeside } from "./menu.js";
import { modelLabel } from "./models.js";
import { refusal } from "./http.js";
import { notice, orNotice } from "./notices.js";
import { byId, clone, near, one, part, setHidden, setText } from "./parts.js";
import { isLookedAt } from "./reading.js";
import { reconcile } from "./reconcile.js";
import { later } from "./sheets.js";
import { connect } from "./socket.js";
import { checkOnReturn } from "./syncing.js";

/** @import { ListedSession, Session } from "parley/api" */
/** @import { ListFrame } from "parley/frames" */
/** @import { ListEvent } from "./state/list.js" */

/** What the menu of a session has to know of it. @typedef {Pick<ListedSession, "id" | "title" | "role"> & { yours?: ListedSession["yours"] }} Chosen */

const LOAD_WITHIN_PX = 300;
const MOST_COUNTED = 99;

/**
 * @param {object} options
 * @param {string | null} options.current the id of the open session
 * @param {(id: string) => string} options.sessionUrl
 * @param {(session: Session) => void} [options.onChanged] tells the page about a change that was made here
 */
export function showSidebar({ current, sessionUrl, onChanged = () => {} }) {
  const sidebar = byId("sidebar");
  const box = one(sidebar, "[data-session-list]");
  const list = one(sidebar, "[data-sessions]");
  const nothing = one(sidebar, "[data-no-sessions]");
  const heading = one(sidebar, "[data-archived-heading]");
  const toArchived = one(sidebar, "[data-show-archived]");
  const menu = byId("session-menu");
  /** @type {NodeListOf<HTMLLIElement>} */
  const rendered = list.querySelectorAll("[data-id]");
  const elements = new Map([...rendered].map((element) => [element.dataset.id ?? "", element]));
  const lists = { usual: emptyList(), archived: emptyList(true) };
  /** @type {keyof typeof lists} */
  let shown = "usual";
  let isReady = false; // the first snapshot has come; until then the server's markup stands
  let isLoading = false;
  /** @type {Chosen} */
  let chosen; // what the menu is about

  showDrawer(sidebar);

  // --- list ---

  /** @param {ListEvent} frame */
  function hear(frame) {
    lists.usual = applyList(lists.usual, frame);
    lists.archived = applyList(lists.archived, frame);
    if (frame.type === "list.snapshot") isReady = true;
    if (isReady) draw();
    if (frame.type === "list.snapshot" && isNearEnd()) loadMore(); // scrolled before there was anything to load it with
  }

  function draw() {
    const { sessions, hasMore, archived } = lists[shown];
    reconcile(list, sessions, { elements, key: (session) => session.id, make, draw: drawItem });
    setHidden(nothing, sessions.length > 0 || hasMore);
    setText(nothing, archived ? "Nothing is put away." : "Your sessions will stand here.");
    setHidden(heading, !archived);
    setHidden(toArchived, archived);
  }

  /** @param {ListedSession} session */
  function make(session) {
    const element = clone("session-item-template");
    element.dataset.id = session.id;
    part(element, "link").setAttribute("href", sessionUrl(session.id));
    return element;
  }

  /**
   * @param {HTMLElement} element
   * @param {ListedSession} session
   */
  function drawItem(element, { id, title, running, yours }) {
    const isCurrent = id === current;
    setText(part(element, "title"), title);
    part(element, "menu").setAttribute("aria-label", `Actions for ${title}`);
    setHidden(part(element, "running"), !running);
    element.classList.toggle("is-current", isCurrent);
    const unread = isCurrent && isLookedAt() ? 0 : yours.unread; // the server hears a moment later that it was read
    element.classList.toggle("is-unread", unread > 0);
    if (isCurrent) part(element, "link").setAttribute("aria-current", "page");
    const badge = part(element, "unread");
    setHidden(badge, !unread);
    badge.classList.toggle("badge-live", yours.mentioned);
    badge.classList.toggle("badge-accent", !yours.mentioned);
    const count = unread > MOST_COUNTED ? `${MOST_COUNTED}+` : String(unread);
    setText(part(element, "unread-count"), yours.mentioned ? `@ ${count}` : count);
    setText(part(element, "unread-words"), yours.mentioned ? " unread, you are mentioned" : " unread");
  }

  async function loadMore() {
    const name = shown;
    const { sessions, hasMore, archived } = lists[name];
    if (isLoading || !hasMore || (name === "usual" && !isReady)) return;
    isLoading = true;
    try {
      const page = await api.sessions({ archived, before: sessions.at(-1)?.id });
      lists[name] = applyList(lists[name], { type: "list.page", ...page });
      draw();
    } catch (error) {
      notice(refusal(error).message);
    } finally {
      isLoading = false;
    }
  }

  const isNearEnd = () => box.scrollHeight - box.clientHeight - box.scrollTop < LOAD_WITHIN_PX;
  box.addEventListener("scroll", () => isNearEnd() && loadMore(), { passive: true });

  /** @param {keyof typeof lists} name */
  async function show(name) {
    shown = name;
    if (name === "archived") lists.archived = emptyList(true);
    draw();
    await loadMore();
    (name === "archived" ? part(heading, "back") : toArchived).focus();
  }

  toArchived.addEventListener("click", () => show("archived"));
  part(heading, "back").addEventListener("click", () => show("usual"));

  // --- menu ---

  /** @param {string} id */
  function known(id) {
    return [...lists.usual.sessions, ...lists.archived.sessions].find((session) => session.id === id);
  }

  /**
   * @param {HTMLElement} button
   * @param {Chosen} session
   */
  function openMenu(button, session) {
    chosen = known(session.id) ?? session;
    const isArchived = Boolean(chosen.yours?.archived);
    setHidden(part(menu, "rename"), chosen.role === "viewer");
    setHidden(part(menu, "archive"), isArchived);
    setHidden(part(menu, "unarchive"), !isArchived);
    setHidden(part(menu, "delete"), Boolean(chosen.role) && chosen.role !== "owner");
    part(menu, "export-md").href = api.exportUrl(chosen.id, "md");
    part(menu, "export-json").href = api.exportUrl(chosen.id, "json");
    openMenuBeside(menu, button);
  }

  list.addEventListener("click", (event) => {
    const button = near(event, "[data-part=menu]");
    const element = near(event, "[data-id]");
    if (!button || !element) return;
    openMenu(button, { id: element.dataset.id ?? "", title: part(element, "title").textContent ?? "", role: null });
  });
  menu.addEventListener("click", (event) => near(event, "a") && menu.hidePopover());

  const rename = byId("rename-sheet");
  const remove = byId("delete-sheet");

  part(menu, "rename").addEventListener("click", () => {
    menu.hidePopover();
    const field = one(rename, "input");
    field.value = chosen.title;
    rename.showModal();
    field.select();
  });
  one(rename, "form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const title = one(rename, "input").value.trim();
    if (!title) return;
    const session = await orNotice(() => api.changeSession(chosen.id, { title }));
    if (!session) return;
    rename.close();
    changed(session);
  });

  part(menu, "archive").addEventListener("click", () => putAway(true));
  part(menu, "unarchive").addEventListener("click", () => putAway(false));

  /** @param {boolean} isAway */
  async function putAway(isAway) {
    menu.hidePopover();
    const session = await orNotice(() => (isAway ? api.archive(chosen.id) : api.unarchive(chosen.id)));
    if (!session) return;
    changed(session);
    notice(isAway ? "Archived. It comes back when somebody asks something in it." : "Back in your list.");
  }

  part(menu, "delete").addEventListener("click", () => {
    menu.hidePopover();
    setText(part(remove, "title"), chosen.title);
    remove.showModal();
  });
  one(remove, "form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const done = await orNotice(() => api.deleteSession(chosen.id));
    if (!done) return;
    remove.close();
    if (chosen.id === current) location.assign(pageAddress());
    else hear({ type: "list.removed", session_id: chosen.id });
  });

  /**
   * What was done here shows at once, and again when the socket tells it.
   * @param {Session} session
   */
  function changed(session) {
    hear({ type: "list.updated", session });
    onChanged(session);
  }

  // --- search ---

  const search = later(async () => {
    const { showSearch } = await import("./search.js");
    return showSearch({ modelLabel, urlOf: (session, message) => sessionUrl(session) + (message ? `#message-${message}` : "") });
  });
  const openSearch = async () => (await orNotice(search))?.();

  one(document, "[data-search-open]").addEventListener("click", openSearch);
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    event.preventDefault();
    openSearch();
  });

  // --- the live connection ---

  const line = connect({
    url: socketAddress("sessions/"),
    onFrame: (/** @type {ListFrame} */ frame) => hear(frame),
    onStatus: () => {},
  });
  checkOnReturn(line);
  addEventListener("focus", () => isReady && draw()); // what is unread depends on who looks

  return { openMenu };
}
