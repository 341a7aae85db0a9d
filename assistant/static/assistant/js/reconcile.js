// @ts-check
/** A list in the page that shows exactly what there is, with as little change as possible. */

/**
 * Makes `list` show exactly `entries`, in order, reusing elements by key.
 *
 * `elements` are those that stand there, by key: the caller keeps it from one call to the next. With homeOf(entry) the entries
 * are shown in several lists: each in its own, in order too.
 * @template E
 * @template K
 * @template {HTMLElement} T
 * @param {Element} list
 * @param {readonly E[]} entries
 * @param {{ key: (entry: E) => K, make: (entry: E) => T, draw: (element: T, entry: E) => void, elements: Map<K, T>, homeOf?: (entry: E) => Element }} how
 */
export function reconcile(list, entries, { key, make, draw, elements, homeOf = () => list }) {
  const wanted = new Set(entries.map(key));
  for (const [id, element] of elements) {
    if (wanted.has(id)) continue;
    element.remove();
    elements.delete(id);
  }
  /** @type {Element | null} */
  let home = null;
  /** @type {Element | null} */
  let next = null;
  for (const entry of entries) {
    const its = homeOf(entry);
    if (its !== home) next = (home = its).firstElementChild;
    const id = key(entry);
    let element = elements.get(id);
    if (!element) elements.set(id, (element = make(entry)));
    if (element === next) next = next.nextElementSibling;
    else its.insertBefore(element, next);
    draw(element, entry);
  }
}
