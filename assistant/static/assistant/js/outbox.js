/** Sends what was written, once, however often it must be tried. */

import { api } from "./api.js";
import { newClientId } from "./drafts.js";
import { notice } from "./notices.js";

const RESEND_WITHIN_MS = 10 * 60_000;

export function createOutbox({ store, drafts, sessionId }) {
  const underWay = new Set();
  let last = Promise.resolve();

  /** One at a time, so that they arrive in the order they were written. */
  function post(entry) {
    if (underWay.has(entry.client_id)) return last;
    underWay.add(entry.client_id);
    store.dispatch({ ...entry, type: "ui.sending", at: entry.created_at });
    last = last.then(() => deliver(entry));
    return last;
  }

  async function deliver({ client_id, content, when, attachments }) {
    try {
      const { message, reply } = await api.send(sessionId, { client_id, content, when, attachments });
      drafts.done(client_id);
      store.dispatch({ type: "ui.sent", client_id, message, reply });
    } catch (error) {
      store.dispatch({ type: "ui.unsent", client_id, detail: `Not sent. ${error.message}`, retryable: error.isRetryable });
    } finally {
      underWay.delete(client_id);
    }
  }

  return {
    /** `when`: what it does while an answer is written, if not what the session says. */
    send(content, when = null, attachments = []) {
      const entry = { client_id: newClientId(), content, when, attachments, created_at: Date.now() };
      drafts.sending(entry); // kept until the server has it, even over a reload
      return post(entry);
    },
    again: post,
    /** What an earlier life of this page left: tried again if fresh, offered to the author if old. */
    restore() {
      for (const entry of drafts.outbox()) {
        if (Date.now() - entry.created_at < RESEND_WITHIN_MS) post(entry);
        else {
          store.dispatch({ type: "ui.sending", ...entry, at: entry.created_at });
          store.dispatch({ type: "ui.unsent", client_id: entry.client_id, detail: "This was not sent yet.", retryable: false });
        }
      }
    },
    /** The line is back: what only the line had refused goes out by itself. */
    retryAll() {
      for (const entry of store.state.outbox) if (entry.status === "failed" && entry.retryable) post(entry);
    },
    discard({ client_id }) {
      drafts.done(client_id);
      store.dispatch({ type: "ui.discarded", client_id });
    },
    takeBack(entry) {
      if (!this.onTakeBack?.(entry.content, entry.attachments ?? [])) return notice("Send or clear what you are writing first.");
      return this.discard(entry);
    },
    onTakeBack: null,
  };
}
