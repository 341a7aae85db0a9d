// @ts-check
/**
 * What was typed but not yet accepted by the server, per session, in this browser: the draft, and the outbox of
 * messages on their way. Each of those keeps its client_id, so that sending it again is still one message.
 */

/** @import { Attachment } from "parley/api" */
/** @import { Sending } from "./state/reducer.js" */

/** What is kept of one session. @typedef {{ text: string, outbox: Sending[], files?: Attachment[] }} Kept */
/** @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem">} Shelf */
/** @typedef {ReturnType<typeof draftsIn>} Drafts */

const MAX_AGE_MS = 30 * 24 * 3600 * 1000;

/**
 * The drafts of one session. A storage that refuses is replaced by memory.
 * @param {Shelf} storage
 * @param {string} sessionId
 */
export function draftsIn(storage, sessionId) {
  const key = `parley:draft:${sessionId}`;
  /** @type {Kept | null} */
  let memory = null;

  /** @returns {Kept} */
  function read() {
    try {
      const kept = JSON.parse(storage.getItem(key) ?? "null");
      return { text: "", outbox: [], ...(kept ?? memory) };
    } catch {
      return { text: "", outbox: [], ...memory };
    }
  }

  /** @param {Kept} kept */
  function write(kept) {
    memory = kept;
    try {
      if (!kept.text && !kept.outbox.length && !kept.files?.length) storage.removeItem(key);
      else storage.setItem(key, JSON.stringify({ ...kept, at: Date.now() }));
    } catch {
      // Storage is full or forbidden: memory holds it as long as the page lives.
    }
  }

  return {
    text: () => read().text,
    /** @param {string} text */
    keep: (text) => write({ ...read(), text }),
    /**
     * Calls back with the text when another tab of this browser has changed it.
     * @param {(text: string) => void} callback
     * @param {Pick<Window, "addEventListener">} [page]
     */
    watch(callback, page = window) {
      memory ??= read();
      page.addEventListener("storage", (event) => {
        if (event.key !== key) return;
        const before = memory?.text;
        memory = null; // or what the other tab has sent would come back from here
        memory = read();
        if (memory.text !== before) callback(memory.text);
      });
    },
    /** Files that were uploaded and not sent yet, as the server told them. */
    files: () => read().files ?? [],
    /** @param {Attachment[]} files */
    keepFiles: (files) => write({ ...read(), files }),
    outbox: () => read().outbox,
    /**
     * Moves a text from the draft to the outbox.
     * @param {Sending} entry
     */
    sending(entry) {
      const kept = read();
      const others = kept.outbox.filter((other) => other.client_id !== entry.client_id);
      const sent = new Set((entry.attachments ?? []).map(({ id }) => id));
      write({
        text: kept.text.trim() === entry.content ? "" : kept.text,
        files: (kept.files ?? []).filter(({ id }) => !sent.has(id)),
        outbox: [...others, entry],
      });
    },
    /**
     * The server has it, or the author threw it away.
     * @param {string} clientId
     */
    done(clientId) {
      const kept = read();
      write({ ...kept, outbox: kept.outbox.filter((entry) => entry.client_id !== clientId) });
    },
  };
}

/**
 * Forgets drafts that nobody touched for a month.
 * @param {Shelf} storage whose keys are its own properties, as those of localStorage
 * @param {number} [now]
 */
export function sweepDrafts(storage, now = Date.now()) {
  try {
    for (const key of Object.keys(storage)) {
      if (!key.startsWith("parley:draft:")) continue;
      if (now - (JSON.parse(storage.getItem(key) ?? "null")?.at ?? 0) > MAX_AGE_MS) storage.removeItem(key);
    }
  } catch {
    // Forbidden storage has nothing to sweep.
  }
}

/**
 * A random id; crypto.randomUUID is missing on plain-http addresses other than localhost.
 * @param {Pick<Crypto, "getRandomValues"> & { randomUUID?: () => string }} [source]
 */
export function newClientId(source = globalThis.crypto) {
  if (source.randomUUID) return source.randomUUID();
  const bytes = source.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
