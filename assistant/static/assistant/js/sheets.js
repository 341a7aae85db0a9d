// @ts-check
/** Sheets are opened by buttons of several kinds and by keys: whichever it was, the sheet becomes open. */

/**
 * Calls back each time the sheet is opened.
 * @param {HTMLDialogElement} sheet
 * @param {() => void} callback
 */
export function onOpen(sheet, callback) {
  new MutationObserver(() => sheet.open && callback()).observe(sheet, { attributeFilter: ["open"] });
}

/**
 * What is wanted by few is loaded when it is first wanted. Returns what loads it, at most once unless it fails.
 * @template T
 * @param {() => Promise<T>} load
 * @returns {() => Promise<T>}
 */
export function later(load) {
  /** @type {Promise<T> | null} */
  let loaded = null;
  return () =>
    (loaded ??= load().catch((error) => {
      loaded = null;
      throw error;
    }));
}
