// @ts-check
/** localStorage, or, where a browser forbids even to look at it, something that keeps nothing. */

/** @type {Pick<Storage, "getItem" | "setItem" | "removeItem">} */
const none = { getItem: () => null, setItem() {}, removeItem() {} };

export const storage = (() => {
  try {
    return window.localStorage ?? none;
  } catch {
    return none;
  }
})();
