/** Holds the state, applies events to it, and draws at most once a frame. */

import { apply, empty } from "./state/reducer.js";

export function createStore() {
  let state = empty;
  let isDue = false;
  const watchers = [];
  const painters = [];

  function paint() {
    isDue = false;
    for (const painter of painters) painter(state);
  }

  return {
    get state() {
      return state;
    },
    dispatch(event) {
      const before = state;
      state = apply(state, event.at ? event : { ...event, at: Date.now() });
      if (state === before) return;
      for (const watcher of watchers) watcher(state, before, event);
      if (isDue) return;
      isDue = true;
      if (document.hidden) setTimeout(paint, 200); // no animation frames come to a hidden page
      else requestAnimationFrame(paint);
    },
    /** watcher(state, before, event): at once, for what must not wait for a frame. */
    watch: (watcher) => watchers.push(watcher),
    /** painter(state): once a frame, after all changes in it. */
    paint: (painter) => painters.push(painter),
    repaint: paint,
  };
}
