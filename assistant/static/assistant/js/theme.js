// @ts-check
/* A classic script in the head: the colours are set before the first paint, so nothing flashes. */
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const key = "parley:theme";

  function chosen() {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  }

  function show() {
    document.documentElement.dataset.theme = chosen() ?? (dark.matches ? "dark" : "light");
  }

  show();
  dark.addEventListener("change", show);
  addEventListener("storage", show);
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || !event.target.closest("[data-theme-toggle]")) return;
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      // Choosing what the system says anyway means: follow the system.
      if (next === (dark.matches ? "dark" : "light")) localStorage.removeItem(key);
      else localStorage.setItem(key, next);
      show();
    } catch {
      document.documentElement.dataset.theme = next;
    }
  });
})();
