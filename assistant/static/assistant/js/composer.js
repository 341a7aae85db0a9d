/** The box one writes in. Every keystroke is kept; Enter sends, Shift+Enter makes a line. */

import { showAttach } from "./attach.js";
import { setHidden, setText } from "./parts.js";

const TYPING_EVERY_MS = 2_500;

/** send(text, attachments), typing(isActive), stop(), changed(text) are the page's; it keeps the text itself where `clears` is false. `maxLength` counts characters (code points), as the server does. */
export function showComposer({ drafts, sessionId = null, maxLength, send, typing = () => {}, stop = () => {}, changed = () => {}, clears = true }) {
  const form = document.querySelector("[data-composer]");
  const field = form.querySelector("textarea");
  const count = form.querySelector("[data-count]");
  const sendButton = form.querySelector("[data-send]");
  const stopButton = form.querySelector("[data-stop]");
  const makesLines = matchMedia("(pointer: coarse)"); // a phone's Enter makes a line; its button sends
  let typedAt = 0;
  let editedAt = 0;
  let isComposing = false;
  let isClosed = false;

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
    changed(field.value);
  }

  function write(text) {
    field.value = text;
    drafts.keep(text);
    refresh();
  }

  field.addEventListener("input", () => {
    drafts.keep(field.value);
    refresh();
    const now = Date.now();
    editedAt = now;
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
    } else send(text, uploads?.items.map(({ made }) => made) ?? []);
    typedAt = 0;
    field.focus();
  });
  stopButton?.addEventListener("click", stop);
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
    setRunning: (isRunning) => stopButton && setHidden(stopButton, !isRunning),
    /** Takes a file that the server has already. */
    attach(made) {
      uploads?.putBack([made]);
      field.focus();
    },
    /** Puts a text back to be edited. False if another one is being written. */
    offer(text, attachments = []) {
      if (field.value.trim() || uploads?.items.length) return false;
      write(text);
      uploads?.putBack(attachments);
      field.focus();
      return true;
    },
  };
}
