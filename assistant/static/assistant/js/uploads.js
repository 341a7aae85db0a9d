// @ts-check
/**
 * The files that will be sent with the next message: uploaded at once, one after the other, remembered with the draft.
 * No DOM: the network and the memory are given.
 */

import { refusal } from "./http.js";

/** @import { Attachment } from "parley/api" */
/** @import { Drafts } from "./drafts.js" */

/**
 * @typedef {object} Item
 * @property {string} key
 * @property {string} name
 * @property {number} size
 * @property {"uploading" | "done" | "failed"} status
 * @property {number} progress 0 to 1
 * @property {string} detail why it failed
 * @property {boolean} [retryable]
 * @property {{ file: File, abort: AbortController }} [source] of one that was added here
 * @property {Attachment | null} made what the server says of it, once it has it
 */

/** @typedef {ReturnType<typeof createUploads>} Uploads */

const MB = 1024 * 1024;

/**
 * upload() resolves to what the server made of a file; takeBack(id) deletes that. onChange() is called after each change.
 * @param {object} options
 * @param {(file: File, options: { onProgress: (done: number) => void, signal: AbortSignal }) => Promise<Attachment>} options.upload
 * @param {(id: string) => void} options.takeBack
 * @param {Pick<Drafts, "files" | "keepFiles">} options.memory
 * @param {{ maxBytes: number, maxCount: number }} options.limits
 * @param {() => void} [options.onChange]
 */
export function createUploads({ upload, takeBack, memory, limits, onChange = () => {} }) {
  let items = memory.files().map((made) => itemOf(made));
  /** @type {Promise<void>} */
  let last = Promise.resolve();
  let checked = Promise.resolve(); // what was removed is taken back after it: nobody asks for what is gone
  let count = 0;

  /**
   * @param {Attachment} made
   * @returns {Item}
   */
  function itemOf(made) {
    return { key: made.id, name: made.name, size: made.size, status: "done", progress: 1, detail: "", made };
  }

  function changed() {
    memory.keepFiles(made());
    onChange();
  }

  function made() {
    return items.flatMap((item) => item.made ?? []);
  }

  /**
   * @param {Item} item
   * @param {Partial<Item>} changes
   */
  function put(item, changes) {
    items = items.map((each) => (each.key === item.key ? { ...each, ...changes } : each));
    changed();
  }

  /**
   * @param {Item} item
   * @param {File} file
   * @param {AbortSignal} signal
   */
  async function deliver(item, file, signal) {
    if (!items.some(({ key }) => key === item.key)) return; // removed while it waited
    try {
      const made = await upload(file, { onProgress: (progress) => put(item, { progress }), signal });
      if (items.some(({ key }) => key === item.key)) put(item, { status: "done", progress: 1, made });
      else takeBack(made.id);
    } catch (error) {
      if (signal.aborted) return;
      const { message: detail, isRetryable: retryable } = refusal(error);
      put(item, { status: "failed", detail, retryable });
    }
  }

  /**
   * @param {Item} item
   * @param {NonNullable<Item["source"]>} source
   */
  function start(item, { file, abort }) {
    last = last.then(() => deliver(item, file, abort.signal));
    return last;
  }

  return {
    get items() {
      return items;
    },
    get isBusy() {
      return items.some(({ status }) => status === "uploading");
    },
    get hasFailed() {
      return items.some(({ status }) => status === "failed");
    },
    /**
     * Takes what was picked, dropped or pasted. Returns a sentence about what was not taken, or "".
     * @param {Iterable<File>} files
     */
    add(files) {
      /** @type {string[]} */
      const refused = [];
      for (const file of files) {
        if (items.length >= limits.maxCount) {
          refused.push(`A message may have ${limits.maxCount} files.`);
          break;
        }
        if (file.size > limits.maxBytes) {
          refused.push(`“${file.name}” has ${inMB(file.size)}; a file may have ${inMB(limits.maxBytes)}.`);
          continue;
        }
        if (!file.size) {
          refused.push(`There is nothing in “${file.name}”.`);
          continue;
        }
        const source = { file, abort: new AbortController() };
        /** @type {Item} */
        const item = {
          key: `new-${++count}`, name: file.name || "pasted", size: file.size, status: "uploading", progress: 0, detail: "",
          source, made: null,
        };
        items = [...items, item];
        start(item, source);
      }
      changed();
      return refused.join(" ");
    },
    /** @param {string} key of one that failed */
    again(key) {
      const item = items.find((each) => each.key === key);
      if (item?.status !== "failed" || !item.source) return undefined;
      put(item, { status: "uploading", progress: 0, detail: "" });
      return start(item, item.source);
    },
    /** @param {string} key */
    remove(key) {
      const item = items.find((each) => each.key === key);
      if (!item) return;
      items = items.filter((each) => each.key !== key);
      item.source?.abort.abort();
      const { made } = item;
      if (made) checked.then(() => takeBack(made.id));
      changed();
    },
    /** What would be sent now. */
    made,
    /** What is to be sent now; nothing is left. */
    take() {
      const taken = made();
      items = [];
      changed();
      return taken;
    },
    /**
     * Files that the server has: of a message that comes back to be edited.
     * @param {Attachment[]} list
     */
    putBack(list) {
      items = [...items, ...list.map(itemOf)];
      changed();
    },
    /**
     * Forgets remembered files that the server no longer has.
     * @param {(id: string) => Promise<boolean>} isThere
     */
    check(isThere) {
      checked = Promise.all(made().map(async ({ id }) => {
        if (await isThere(id)) return;
        items = items.filter((item) => item.made?.id !== id);
        changed();
      })).then(() => {});
      return checked;
    },
  };
}

/**
 * A size as people read it.
 * @param {number} bytes
 */
export function inMB(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < MB) return `${Math.round(bytes / 1024)} KB`;
  return `${(bytes / MB).toFixed(bytes < 10 * MB ? 1 : 0)} MB`;
}
