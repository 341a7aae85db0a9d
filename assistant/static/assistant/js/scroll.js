/** Keeps the reader's place: at the end while they are there, where they are otherwise. */

const NEAR_PX = 24;

export function keepPlace({ box, content, button }) {
  let isAtEnd = true;
  let lastTop = 0;

  const distance = () => box.scrollHeight - box.clientHeight - box.scrollTop;

  function toEnd() {
    isAtEnd = true;
    box.scrollTop = box.scrollHeight;
    lastTop = box.scrollTop;
    button.hidden = true;
  }

  box.addEventListener(
    "scroll",
    () => {
      const left = distance();
      // Moving up, however little, is a wish to stay; the end is reached only by going there.
      if (box.scrollTop < lastTop - 1 && left > 4) isAtEnd = false;
      else if (left < NEAR_PX) isAtEnd = true;
      if (isAtEnd) button.hidden = true;
      lastTop = box.scrollTop;
    },
    { passive: true },
  );

  new ResizeObserver(() => {
    if (isAtEnd) toEnd();
  }).observe(content);
  new ResizeObserver(() => {
    if (isAtEnd) toEnd();
  }).observe(box);

  button.addEventListener("click", () => {
    toEnd();
    box.focus({ preventScroll: true });
  });

  return {
    toEnd,
    /** Something was added at the end: shows the button to one who reads further up. */
    grew: () => {
      if (!isAtEnd && distance() > NEAR_PX) button.hidden = false;
    },
    /** Runs `change`, which adds above, and leaves what is in view where it is. */
    above(change) {
      const left = box.scrollHeight - box.scrollTop;
      change();
      if (!isAtEnd) box.scrollTop = box.scrollHeight - left;
      lastTop = box.scrollTop;
    },
  };
}
