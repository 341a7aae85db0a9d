/** The sidebar as a drawer, where the window is narrow. */

export function showDrawer(sidebar) {
  const opener = document.querySelector("[data-drawer-open]");
  const main = document.querySelector("main");

  function set(isOpen) {
    sidebar.classList.toggle("is-open", isOpen);
    opener.setAttribute("aria-expanded", String(isOpen));
    main.inert = isOpen;
    if (isOpen) sidebar.querySelector("[data-drawer-close]").focus();
    else opener.focus();
  }

  opener.addEventListener("click", () => set(true));
  sidebar.querySelector("[data-drawer-close]").addEventListener("click", () => set(false));
  document.querySelector("[data-drawer-shade]").addEventListener("click", () => set(false));
  document.addEventListener("keydown", (event) => {
    const isInFront = sidebar.classList.contains("is-open") && !document.querySelector("dialog[open], :popover-open");
    if (event.key === "Escape" && isInFront) set(false);
  });
  matchMedia("(min-width: 52.01rem)").addEventListener("change", () => {
    sidebar.classList.remove("is-open");
    main.inert = false;
  });
}
