// @ts-check
/** Sends what was written, once, however often it must be tried. */

import { api } from "./api.js";
import { newClientId } from "./drafts.js";
import { refusal } from "./http.js";
import { notice } from "./notices.js";

/** @import { Attachment } from "parley/api" */
/** @import { Drafts } from "./drafts.js" */
/** @import { Held } from "./state/merging.js" */
/** @import { Sending, State, Unsent } from "./state/reducer.js" */
/** @import { Store } from "./store.js" */

/** @typedef {ReturnType<typeof createOutbox>} Outbox */

/**
 * A message that the server doesn't have yet, in the shape of one.
 * @typedef {Partial<Omit<Held, "author" | "role" | "status" | "outbox">> & Pick<Held, "id" | "content" | "html" | "created_at"> & {
 *   role: "user", author: State["you"], status: "unsent", outbox: Unsent,
 * }} UnsentMessage
 */

const RESEND_WITHIN_MS = 10 * 60_000;

/**
 * takeBack(text, attachments) puts a message that was not sent back to be edited; false if something else is being written.
 * @param {{ store: Store, drafts: Drafts, sessionId: string, takeBack: (text: string, attachments: Attachment[]) => boolean }} options
 */
export function createOutbox({ store, drafts, sessionId, takeBack }) {
  /** @type {Set<string>} */
  const underWay = new Set();
  let last = Promise.resolve();

  /**
   * One at a time, so that they arrive in the order they were written.
   * @param {Sending} entry
   */
  function post(entry) {
    if (underWay.has(entry.client_id)) return last;
    underWay.add(entry.client_id);
    store.dispatch({ ...entry, type: "ui.sending", at: entry.created_at });
    last = last.then(() => deliver(entry));
    return last;
  }

  /** @param {Sending} entry */
  async function deliver({ client_id, content, when, attachments }) {
    try {
      const { message, reply } = await api.send(sessionId, { client_id, content, when, attachments });
      drafts.done(client_id);
      store.dispatch({ type: "ui.sent", client_id, message, reply });
    } catch (error) {
      const { message, isRetryable } = refusal(error);
      store.dispatch({ type: "ui.unsent", client_id, detail: `Not sent. ${message}`, retryable: isRetryable });
    } finally {
      underWay.delete(client_id);
    }
  }

  /** @param {Pick<Sending, "client_id">} entry */
  function discard({ client_id }) {
    drafts.done(client_id);
    store.dispatch({ type: "ui.discarded", client_id });
  }

  return {
    /**
     * @param {string} content
     * @param {Sending["when"]} [when] what it does while an answer is written, if not what the session says
     * @param {Attachment[]} [attachments]
     */
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
    discard,
    /** @param {Unsent} entry */
    edit(entry) {
      if (takeBack(entry.content, entry.attachments ?? [])) discard(entry);
      else notice("Send or clear what you are writing first.");
    },
  };
}

/**
 * @param {State} state
 * @param {Unsent} entry
 * @returns {UnsentMessage}
 */
export function unsentMessage(state, entry) {
  return {
    id: `unsent-${entry.client_id}`,
    role: "user",
    author: state.you,
    content: entry.content,
    attachments: entry.attachments,
    html: [],
    status: "unsent",
    created_at: new Date(entry.created_at).toISOString(),
    outbox: entry,
  };
}
