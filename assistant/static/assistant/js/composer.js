// @ts-check
/** The box one writes in. Every keystroke is kept; Enter sends, Shift+Enter makes a line. */

import { showAttach } from "./attach.js";
import { one, setHidden, setText } from "./parts.js";

/** @import { Attachment } from "parley/api" */
/** @import { Drafts } from "./drafts.js" */
/** @import { Uploads } from "./uploads.js" */

const TYPING_EVERY_MS = 2_500;

/**
 * send(), typing(), stop() and changed() are the page's.
 * @param {object} options
 * @param {Drafts} options.drafts
 * @param {string | null} [options.sessionId] null: of a session that does not exist yet
 * @param {number} options.maxLength in characters (code points), as the server counts them
 * @param {(text: string, attachments: Attachment[]) => void} options.send
 * @param {(isActive: boolean) => void} [options.typing]
 * @param {() => void} [options.stop]
 * @param {() => void} [options.changed]
 * @param {boolean} [options.clears] false: the text stays until the page takes it away
 */
export function showComposer({ drafts, sessionId = null, maxLength, send, typing = () => {}, stop = () => {}, changed = () => {}, clears = true }) {
  const form = one(document, "[data-composer]");
  const field = one(form, "textarea");
  const count = one(form, "[data-count]");
  const sendButton = one(form, "[data-send]");
  /** @type {HTMLButtonElement | null} */
  const stopButton = form.querySelector("[data-stop]");
  const makesLines = matchMedia("(pointer: coarse)"); // a phone's Enter makes a line; its button sends
  let typedAt = 0;
  let isComposing = false;
  let isClosed = false;
  /** @type {Uploads | null} */
  let uploads = null;

  function refresh() {
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight}px`;
    const length = [...field.value.trim()].length;
    const left = maxLength - length;
    setHidden(count, left > Math.max(200, maxLength * 0.1));
    setText(count, left < 0 ? `${-left} too many` : `${left} left`);
    count.classList.toggle("is-over", left < 0);
    const files = uploads?.items.length ?? 0;
    sendButton.disabled = isClosed || !(length || files) || left < 0 || Boolean(uploads?.isBusy || uploads?.hasFailed);
    changed();
  }

  /** @param {string} text */
  function write(text) {
    field.value = text;
    drafts.keep(text);
    refresh();
  }

  field.addEventListener("input", () => {
    drafts.keep(field.value);
    refresh();
    const now = Date.now();
    if (field.value && now - typedAt > TYPING_EVERY_MS) {
      typedAt = now;
      typing(true);
    }
  });
  field.addEventListener("compositionstart", () => (isComposing = true));
  field.addEventListener("compositionend", () => (isComposing = false));
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.altKey || event.isComposing || isComposing) return;
    if (makesLines.matches && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    form.requestSubmit();
  });
  field.addEventListener("blur", () => typedAt && ((typedAt = 0), typing(false)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (sendButton.disabled) return;
    if (clears) {
      send(text, uploads?.take() ?? []);
      write("");
    } else send(text, uploads?.made() ?? []);
    typedAt = 0;
    field.focus();
  });
  stopButton?.addEventListener("click", () => stop());
  new ResizeObserver(refresh).observe(form);

  field.value = drafts.text();
  uploads = showAttach({ sessionId, drafts, onChange: refresh });
  refresh();
  // Two tabs with the same session share its draft; or the one would overwrite what the other keeps.
  drafts.watch((text) => {
    if (isComposing) return;
    field.value = text;
    refresh();
  });

  return {
    field,
    text: () => field.value,
    focus: () => field.focus(),
    /** Nothing can be sent from this page any more; what was being written can still be read and copied. */
    close() {
      isClosed = field.readOnly = true;
      for (const button of form.querySelectorAll("button")) button.disabled = true;
      refresh();
    },
    /** @param {boolean} isRunning */
    setRunning: (isRunning) => stopButton && setHidden(stopButton, !isRunning),
    /**
     * Takes a file that the server has already.
     * @param {Attachment} made
     */
    attach(made) {
      uploads?.putBack([made]);
      field.focus();
    },
    /**
     * Puts a text back to be edited. False if another one is being written.
     * @param {string} text
     * @param {Attachment[]} [attachments]
     */
    offer(text, attachments = []) {
      if (field.value.trim() || uploads?.items.length) return false;
      write(text);
      uploads?.putBack(attachments);
      field.focus();
      return true;
    },
  };
}
