/** localStorage, or, where a browser forbids even to look at it, something that keeps nothing. */

const none = { getItem: () => null, setItem() {}, removeItem() {} };

export const storage = (() => {
  try {
    return window.localStorage ?? none;
  } catch {
    return none;
  }
})();
