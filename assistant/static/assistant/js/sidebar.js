/** The list of sessions, the drawer it is on phones, and the menu of one session. */

import { api } from "./api.js";
import { openMenu as openMenuBeside } from "./menu.js";
import { orNotice } from "./notices.js";
import { clone, part, reconcile, setHidden, setText } from "./parts.js";

const REFRESH_EVERY_MS = 60_000;

/** `current` is the id of the open session or null; onRenamed(title) tells the page about its own. */
export function showSidebar({ current, sessionUrl, onChanged = () => {} }) {
  const sidebar = document.getElementById("sidebar");
  const list = sidebar.querySelector("[data-sessions]");
  const nothing = sidebar.querySelector("[data-no-sessions]");
  const opener = document.querySelector("[data-drawer-open]");
  const menu = document.getElementById("session-menu");
  const elements = new Map([...list.children].map((element) => [element.dataset.id, element]));
  let sessions = [];
  let chosen = null; // {id, title, role} the menu is about

  // --- list ---

  async function refresh() {
    let answer;
    try {
      answer = await api.sessions();
    } catch {
      return; // the list stays as it is
    }
    sessions = answer.sessions;
    draw();
  }

  function draw() {
    reconcile(list, sessions, {
      elements,
      key: (session) => session.id,
      make(session) {
        const element = clone("session-item-template");
        element.dataset.id = session.id;
        part(element, "link").href = sessionUrl(session.id);
        return element;
      },
      draw(element, session) {
        const isCurrent = session.id === current;
        setText(part(element, "title"), session.title);
        part(element, "menu").setAttribute("aria-label", `Actions for ${session.title}`);
        setHidden(part(element, "running"), !session.running);
        element.classList.toggle("is-current", isCurrent);
        if (isCurrent) part(element, "link").setAttribute("aria-current", "page");
      },
    });
    setHidden(nothing, sessions.length > 0);
  }

  // --- drawer ---

  const main = document.querySelector("main");

  function setDrawer(isOpen) {
    sidebar.classList.toggle("is-open", isOpen);
    opener.setAttribute("aria-expanded", String(isOpen));
    main.inert = isOpen;
    if (isOpen) sidebar.querySelector("[data-drawer-close]").focus();
    else opener.focus();
  }

  opener.addEventListener("click", () => setDrawer(true));
  sidebar.querySelector("[data-drawer-close]").addEventListener("click", () => setDrawer(false));
  document.querySelector("[data-drawer-shade]").addEventListener("click", () => setDrawer(false));
  document.addEventListener("keydown", (event) => {
    const isInFront = sidebar.classList.contains("is-open") && !document.querySelector("dialog[open], :popover-open");
    if (event.key === "Escape" && isInFront) setDrawer(false);
  });
  matchMedia("(min-width: 52.01rem)").addEventListener("change", () => {
    sidebar.classList.remove("is-open");
    main.inert = false;
  });

  // --- menu ---

  function openMenu(button, session) {
    chosen = session;
    setHidden(part(menu, "rename"), session.role === "viewer");
    setHidden(part(menu, "delete"), Boolean(session.role) && session.role !== "owner");
    openMenuBeside(menu, button);
  }

  list.addEventListener("click", (event) => {
    const button = event.target.closest("[data-part=menu]");
    if (!button) return;
    const id = button.closest("[data-id]").dataset.id;
    const title = part(button.closest("[data-id]"), "title").textContent;
    openMenu(button, sessions.find((session) => session.id === id) ?? { id, title, role: null });
  });

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
    onChanged(session);
    await refresh();
  });

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
    else await refresh();
  });

  // --- keeping it fresh ---

  refresh();
  setInterval(() => document.hidden || refresh(), REFRESH_EVERY_MS);
  document.addEventListener("visibilitychange", () => document.hidden || refresh());

  return { refresh, openMenu };
}
