// @ts-check
/** The sidebar as a drawer, where the window is narrow. */

import { one } from "./parts.js";

/** @param {HTMLElement} sidebar */
export function showDrawer(sidebar) {
  const opener = one(document, "[data-drawer-open]");
  const closer = one(sidebar, "[data-drawer-close]");
  const main = one(document, "main");

  /** @param {boolean} isOpen */
  function set(isOpen) {
    sidebar.classList.toggle("is-open", isOpen);
    opener.setAttribute("aria-expanded", String(isOpen));
    main.inert = isOpen;
    if (isOpen) closer.focus();
    else opener.focus();
  }

  opener.addEventListener("click", () => set(true));
  closer.addEventListener("click", () => set(false));
  one(document, "[data-drawer-shade]").addEventListener("click", () => set(false));
  document.addEventListener("keydown", (event) => {
    const isInFront = sidebar.classList.contains("is-open") && !document.querySelector("dialog[open], :popover-open");
    if (event.key === "Escape" && isInFront) set(false);
  });
  matchMedia("(min-width: 52.01rem)").addEventListener("change", () => {
    sidebar.classList.remove("is-open");
    main.inert = false;
  });
}
