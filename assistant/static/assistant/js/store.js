// @ts-check
/** Holds the state, applies events to it, and draws at most once a frame. */

import { apply, empty } from "./state/reducer.js";

/** @import { State, StateEvent } from "./state/reducer.js" */

/** @typedef {(state: State, before: State, event: StateEvent) => void} Watcher */
/** @typedef {(state: State) => void} Painter */
/** @typedef {ReturnType<typeof createStore>} Store */

export function createStore() {
  let state = empty;
  let isDue = false;
  /** @type {Watcher[]} */
  const watchers = [];
  /** @type {Painter[]} */
  const painters = [];

  function paint() {
    isDue = false;
    for (const painter of painters) painter(state);
  }

  return {
    get state() {
      return state;
    },
    /** @param {StateEvent & { at?: number }} event `at` is the moment of its arrival, in ms; now, if it doesn't say */
    dispatch(event) {
      const before = state;
      state = apply(state, { ...event, at: event.at || Date.now() });
      if (state === before) return;
      for (const watcher of watchers) watcher(state, before, event);
      if (isDue) return;
      isDue = true;
      if (document.hidden) setTimeout(paint, 200); // no animation frames come to a hidden page
      else requestAnimationFrame(paint);
    },
    /**
     * Calls back at once, for what must not wait for a frame.
     * @param {Watcher} watcher
     */
    watch: (watcher) => watchers.push(watcher),
    /**
     * Calls back once a frame, after all changes in it.
     * @param {Painter} painter
     */
    paint: (painter) => painters.push(painter),
    repaint: paint,
  };
}
