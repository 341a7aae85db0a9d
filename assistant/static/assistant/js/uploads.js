/**
 * The files that will be sent with the next message: uploaded at once, one after the other, remembered with the draft.
 *
 * An item is {key, name, size, status: "uploading"|"done"|"failed", progress (0 to 1), detail, retryable, file, made}; `made` is what
 * the server says of it once it has it. No DOM: the network and the memory are given.
 */

const MB = 1024 * 1024;

/**
 * upload(file, {onProgress, signal}) resolves to what the server made of it; takeBack(id) deletes that. `memory` has
 * files() and keepFiles(list), as drafts do. `limits` {maxBytes, maxCount}. onChange() after each change.
 */
export function createUploads({ upload, takeBack, memory, limits, onChange = () => {} }) {
  let items = memory.files().map((made) => itemOf(made));
  let last = Promise.resolve();
  let count = 0;

  function itemOf(made) {
    return { key: made.id, name: made.name, size: made.size, status: "done", progress: 1, detail: "", made };
  }

  function changed() {
    memory.keepFiles(items.filter(({ made }) => made).map(({ made }) => made));
    onChange();
  }

  function put(item, changes) {
    items = items.map((each) => (each.key === item.key ? { ...each, ...changes } : each));
    changed();
  }

  async function deliver(item) {
    if (!items.some(({ key }) => key === item.key)) return; // removed while it waited
    try {
      const made = await upload(item.file, {
        onProgress: (progress) => put(item, { progress }),
        signal: item.abort.signal,
      });
      if (items.some(({ key }) => key === item.key)) put(item, { status: "done", progress: 1, made });
      else takeBack(made.id);
    } catch (error) {
      if (!item.abort.signal.aborted) put(item, { status: "failed", detail: error.message, retryable: error.isRetryable !== false });
    }
  }

  function start(item) {
    last = last.then(() => deliver(item));
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
    /** Takes what was picked, dropped or pasted. Returns a sentence about what was not taken, or "". */
    add(files) {
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
        const item = {
          key: `new-${++count}`, name: file.name || "pasted", size: file.size, status: "uploading", progress: 0, detail: "",
          file, made: null, abort: new AbortController(),
        };
        items = [...items, item];
        start(item);
      }
      changed();
      return refused.join(" ");
    },
    again(key) {
      const item = items.find((each) => each.key === key);
      if (item?.status !== "failed") return undefined;
      put(item, { status: "uploading", progress: 0, detail: "" });
      return start({ ...item, abort: item.abort });
    },
    remove(key) {
      const item = items.find((each) => each.key === key);
      if (!item) return;
      items = items.filter((each) => each.key !== key);
      item.abort?.abort();
      if (item.made) takeBack(item.made.id);
      changed();
    },
    /** What is to be sent now; nothing is left. */
    take() {
      const made = items.filter((item) => item.made).map((item) => item.made);
      items = [];
      changed();
      return made;
    },
    /** Files of a message that comes back to be edited. */
    putBack(list) {
      items = [...items, ...list.map(itemOf)];
      changed();
    },
    /** Forgets remembered files that the server no longer has: isThere(id) resolves to whether it does. */
    async check(isThere) {
      for (const item of items.filter(({ made }) => made)) {
        if (await isThere(item.made.id)) continue;
        items = items.filter(({ key }) => key !== item.key);
        changed();
      }
    },
  };
}

/** A size as people read it. */
export function inMB(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < MB) return `${Math.round(bytes / 1024)} KB`;
  return `${(bytes / MB).toFixed(bytes < 10 * MB ? 1 : 0)} MB`;
}
