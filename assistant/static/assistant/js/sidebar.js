/** The list of sessions, live: what is unread, what runs, what was put away; and the menu of one session. */

import { api } from "./api.js";
import { showDrawer } from "./drawer.js";
import { applyList, emptyList } from "./state/list.js";
import { openMenu as openMenuBeside } from "./menu.js";
import { modelLabel } from "./models.js";
import { notice, orNotice } from "./notices.js";
import { clone, part, reconcile, setHidden, setText } from "./parts.js";
import { isLookedAt } from "./reading.js";
import { showSearch } from "./search.js";
import { connect } from "./socket.js";

const LOAD_WITHIN_PX = 300;
const MOST_COUNTED = 99;

/** `current` is the id of the open session or null; onChanged(session) tells the page about a change made here. */
export function showSidebar({ current, sessionUrl, onChanged = () => {} }) {
  const sidebar = document.getElementById("sidebar");
  const box = sidebar.querySelector("[data-session-list]");
  const list = sidebar.querySelector("[data-sessions]");
  const nothing = sidebar.querySelector("[data-no-sessions]");
  const heading = sidebar.querySelector("[data-archived-heading]");
  const toArchived = sidebar.querySelector("[data-show-archived]");
  const menu = document.getElementById("session-menu");
  const elements = new Map([...list.children].map((element) => [element.dataset.id, element]));
  const lists = { usual: emptyList(), archived: emptyList(true) };
  let shown = "usual";
  let isReady = false; // the first snapshot has come; until then the server's markup stands
  let isLoading = false;
  let chosen = null; // {id, title, role} the menu is about

  showDrawer(sidebar);
  showSearch({
    modelLabel,
    urlOf: (session, message) => sessionUrl(session) + (message ? `#message-${message}` : ""),
  });

  // --- list ---

  function hear(frame) {
    for (const name of Object.keys(lists)) lists[name] = applyList(lists[name], frame);
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

  function make(session) {
    const element = clone("session-item-template");
    element.dataset.id = session.id;
    part(element, "link").href = sessionUrl(session.id);
    return element;
  }

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
      notice(error.message);
    } finally {
      isLoading = false;
    }
  }

  const isNearEnd = () => box.scrollHeight - box.clientHeight - box.scrollTop < LOAD_WITHIN_PX;
  box.addEventListener("scroll", () => isNearEnd() && loadMore(), { passive: true });

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

  function known(id) {
    return [...lists.usual.sessions, ...lists.archived.sessions].find((session) => session.id === id);
  }

  function openMenu(button, session) {
    chosen = known(session.id) ?? session;
    const isArchived = Boolean(chosen.yours?.archived);
    setHidden(part(menu, "rename"), chosen.role === "viewer");
    setHidden(part(menu, "archive"), isArchived);
    setHidden(part(menu, "unarchive"), !isArchived);
    setHidden(part(menu, "delete"), Boolean(chosen.role) && chosen.role !== "owner");
    for (const format of ["md", "json"]) part(menu, `export-${format}`).href = api.exportUrl(chosen.id, format);
    openMenuBeside(menu, button);
  }

  list.addEventListener("click", (event) => {
    const button = event.target.closest("[data-part=menu]");
    if (!button) return;
    const element = button.closest("[data-id]");
    openMenu(button, { id: element.dataset.id, title: part(element, "title").textContent, role: null });
  });
  menu.addEventListener("click", (event) => event.target.closest("a") && menu.hidePopover());

  const rename = document.getElementById("rename-sheet");
  const remove = document.getElementById("delete-sheet");

  part(menu, "rename").addEventListener("click", () => {
    menu.hidePopover();
    const field = rename.querySelector("input");
    field.value = chosen.title;
    rename.showModal();
    field.select();
  });
  rename.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const title = rename.querySelector("input").value.trim();
    if (!title) return;
    const session = await orNotice(() => api.changeSession(chosen.id, { title }));
    if (!session) return;
    rename.close();
    changed(session);
  });

  part(menu, "archive").addEventListener("click", () => putAway(true));
  part(menu, "unarchive").addEventListener("click", () => putAway(false));

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
  remove.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const done = await orNotice(() => api.deleteSession(chosen.id));
    if (!done) return;
    remove.close();
    if (chosen.id === current) location.assign("/");
    else hear({ type: "list.removed", session_id: chosen.id });
  });

  /** What was done here shows at once, and again when the socket tells it. */
  function changed(session) {
    hear({ type: "list.updated", session });
    onChanged(session);
  }

  // --- the live connection ---

  const line = connect({
    url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/sessions/`,
    onFrame: hear,
    onStatus: () => {},
  });
  document.addEventListener("visibilitychange", () => document.hidden || line.check());
  addEventListener("focus", () => {
    if (isReady) draw();
    line.check();
  });
  addEventListener("online", () => line.check());
  addEventListener("pageshow", (event) => event.persisted && line.check());

  return { openMenu };
}
