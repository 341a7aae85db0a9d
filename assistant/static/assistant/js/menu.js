// @ts-check
/** Menus: a popover of buttons (`.menu`, in controls.css) beside the button that opened it. */

/** @type {WeakSet<HTMLElement>} */
const wired = new WeakSet();
/** @type {WeakMap<HTMLElement, HTMLElement>} */
const openers = new WeakMap(); // menu -> the button that gets the focus back

/** A menu goes with its button: what it would do is done, or no longer anybody's to do. */
const gone = new ResizeObserver((changes) => {
  for (const { target } of changes) {
    if (target.checkVisibility()) continue;
    gone.unobserve(target);
    for (const menu of document.querySelectorAll(".menu:popover-open")) {
      if (menu instanceof HTMLElement && openers.get(menu) === target) menu.hidePopover();
    }
  }
});

/**
 * Opens `menu` beside `button`. Arrows, Home and End move in it, Esc and Tab leave it.
 * @param {HTMLElement} menu with `popover`
 * @param {HTMLElement} button
 */
export function openMenu(menu, button) {
  if (!wired.has(menu)) wire(menu);
  wired.add(menu);
  openers.set(menu, button);
  gone.observe(button);
  button.setAttribute("aria-expanded", "true");
  menu.showPopover();
  const { left, right, bottom, top } = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const x = left + width + 8 > innerWidth ? right - width : left;
  menu.style.left = `${Math.max(8, Math.min(x, innerWidth - width - 8))}px`;
  menu.style.top = `${Math.max(8, bottom + height + 12 > innerHeight ? top - height - 4 : bottom + 4)}px`;
  items(menu)[0]?.focus();
}

/** @param {HTMLElement} menu */
function items(menu) {
  /** @type {NodeListOf<HTMLElement>} */
  const all = menu.querySelectorAll("a, :enabled");
  return [...all].filter((item) => item.checkVisibility());
}

/** @param {HTMLElement} menu */
function wire(menu) {
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Tab") return menu.hidePopover();
    const all = items(menu);
    const at = all.findIndex((item) => item === document.activeElement);
    /** @type {Record<string, number>} */
    const places = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    const next = places[event.key];
    if (next === undefined) return undefined;
    event.preventDefault();
    return all.at(next % all.length)?.focus();
  });
  menu.addEventListener("beforetoggle", (event) => {
    if (event.newState !== "closed") return;
    const opener = openers.get(menu);
    if (opener) gone.unobserve(opener);
    opener?.setAttribute("aria-expanded", "false");
    // Not where the focus went elsewhere by itself: into a sheet, or to what was clicked.
    if (menu.contains(document.activeElement)) opener?.focus({ preventScroll: true });
  });
}
