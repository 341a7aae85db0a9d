// @ts-check
/**
 * Keeps the reader's place: at the end while they are there; else what they are reading stays where it is, whatever is
 * added above, grows, or is laid out anew. (The browser's own scroll anchoring is off: not every browser has it, and two
 * would move twice.) How much came while they read further up stands on the button to the end.
 */

import { part } from "./parts.js";

const NEAR_PX = 24;

/**
 * `find(y)` gives the element that stands at this height of the window, which is held on to.
 * @param {{ box: HTMLElement, content: HTMLElement, button: HTMLElement, find: (y: number) => Element | null | undefined }} options
 */
export function keepPlace({ box, content, button, find }) {
  const label = part(button, "label");
  let isAtEnd = true;
  let lastTop = 0;
  /** @type {{ element: Element, top: number } | null} */
  let anchor = null; // {element, top}: `top` below the upper edge of the box
  let came = 0; // messages since the end was left

  const distance = () => box.scrollHeight - box.clientHeight - box.scrollTop;

  function hold() {
    const edge = box.getBoundingClientRect().top;
    const element = isAtEnd ? null : find(edge);
    anchor = element ? { element, top: element.getBoundingClientRect().top - edge } : null;
  }

  function arrive() {
    isAtEnd = true;
    came = 0;
    button.hidden = true;
  }

  function toEnd() {
    arrive();
    box.scrollTop = box.scrollHeight;
    lastTop = box.scrollTop;
  }

  function keep() {
    if (isAtEnd) return toEnd();
    if (!anchor?.element.isConnected) return hold();
    const moved = anchor.element.getBoundingClientRect().top - box.getBoundingClientRect().top - anchor.top;
    if (Math.abs(moved) >= 1) box.scrollTop += moved;
    lastTop = box.scrollTop;
    return undefined;
  }

  box.addEventListener(
    "scroll",
    () => {
      const left = distance();
      // Moving up, however little, is a wish to stay; the end is reached only by going there.
      if (box.scrollTop < lastTop - 1 && left > 4) isAtEnd = false;
      else if (left < NEAR_PX) arrive();
      lastTop = box.scrollTop;
      hold();
    },
    { passive: true },
  );

  // After the layout and before it is painted: nobody sees the jump.
  const watch = new ResizeObserver(keep);
  watch.observe(content);
  watch.observe(box);

  button.addEventListener("click", () => {
    toEnd();
    box.focus({ preventScroll: true });
  });

  return {
    toEnd,
    /**
     * Something was added at the end: tells one who reads further up.
     * @param {number} messages how many of it are whole messages
     */
    grew(messages) {
      if (isAtEnd || distance() <= NEAR_PX) return;
      came += messages;
      label.textContent = came === 0 ? "New text below" : came === 1 ? "1 new message" : `${came} new messages`;
      button.hidden = false;
    },
    /**
     * What is unfolded under a reader's hand grows below it: what their hand is on stays where it is.
     * @param {Element} element
     */
    holdOn(element) {
      isAtEnd = false;
      anchor = { element, top: element.getBoundingClientRect().top - box.getBoundingClientRect().top };
    },
    /** Where one stands has been changed on purpose: a message was jumped to. */
    moved() {
      isAtEnd = distance() < NEAR_PX;
      lastTop = box.scrollTop;
      hold();
    },
  };
}
