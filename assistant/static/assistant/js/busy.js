// @ts-check
/** What Send does while an answer is being written: shown beside it, and changed there for the next message. */

import { openMenu } from "./menu.js";
import { byId, near, one, part, setHidden, setText } from "./parts.js";
import { isBusy } from "./state/selectors.js";

/** @import { Store } from "./store.js" */

/** @typedef {"queue" | "steer" | "interrupt"} When */

const WORDS = {
  queue: { label: "Queue", hint: "Enter sends; it waits its turn" },
  steer: { label: "Steer", hint: "Enter sends; the answer takes it along if it uses a tool" },
  interrupt: { label: "Interrupt", hint: "Enter sends; it stops the answer" },
};

/**
 * isQuestion() says whether what is typed asks the assistant anything.
 * @param {{ store: Store, isQuestion: () => boolean }} options
 */
export function showBusy({ store, isQuestion }) {
  const button = one(document, "[data-send-mode]");
  const menu = byId("send-menu");
  const hint = one(document, "[data-hint]");
  const idle = hint.textContent;
  /** @type {When | null} */
  let chosen = null; // for the next message only

  const policy = () => store.state.session?.when_busy ?? "queue";
  const mode = () => chosen ?? policy();

  function draw() {
    const busy = isBusy(store.state, Date.now());
    if (!busy) chosen = null;
    const asks = isQuestion();
    setHidden(button, !busy || !asks);
    setText(part(button, "label"), WORDS[mode()].label);
    button.setAttribute("aria-label", `Sending now: ${WORDS[mode()].label}. Change`);
    setText(hint, !asks ? "Enter says it to the people here" : busy ? WORDS[mode()].hint : idle);
  }

  button.addEventListener("click", () => {
    /** @type {NodeListOf<HTMLElement>} */
    const items = menu.querySelectorAll("[data-when]");
    for (const item of items) item.setAttribute("aria-checked", String(item.dataset.when === mode()));
    openMenu(menu, button);
    [...items].find((item) => item.dataset.when === mode())?.focus();
  });
  menu.addEventListener("click", (event) => {
    const when = /** @type {When | undefined} */ (near(event, "[data-when]")?.dataset.when);
    if (!when) return;
    chosen = when === policy() ? null : when;
    menu.hidePopover();
    draw();
  });
  store.paint(draw);

  return {
    draw,
    /** What the message that is sent now shall do, if not what the session says. Asked once for each message. */
    take() {
      const when = chosen;
      chosen = null;
      draw();
      return when;
    },
  };
}
