// @ts-check
/** The composer's files: picked, dropped or pasted; shown with their progress; removed or tried again. */

import { api } from "./api.js";
import { refusal } from "./http.js";
import { notice } from "./notices.js";
import { clone, near, one, part, setHidden, setText } from "./parts.js";
import { reconcile } from "./reconcile.js";
import { createUploads, inMB } from "./uploads.js";

/** @import { PageData } from "parley/markup" */
/** @import { Drafts } from "./drafts.js" */
/** @import { Item, Uploads } from "./uploads.js" */

/**
 * Null where files are switched off.
 * @param {object} options
 * @param {string | null} options.sessionId null: for a session that does not exist yet
 * @param {Drafts} options.drafts
 * @param {() => void} options.onChange when the composer should look again
 * @returns {Uploads | null}
 */
export function showAttach({ sessionId, drafts, onChange }) {
  const form = one(document, "[data-composer]");
  const { maxFileMb, maxFiles } = /** @type {PageData} */ (document.body.dataset);
  if (!form.querySelector("[data-attach]")) return null;
  const button = one(form, "[data-attach]");
  const input = one(form, "[data-file-input]");
  const list = one(form, "[data-files]");
  const said = one(form, "[data-files-said]");
  /** @type {Map<string, HTMLLIElement>} */
  const elements = new Map();
  /** @type {Map<string, Item["status"]>} */
  const states = new Map(); // key -> the status that was read out

  const uploads = createUploads({
    upload: (file, options) => api.upload(sessionId, file, options),
    takeBack: (id) => api.takeBack(id).catch(() => {}), // if it stays, the server sweeps it away
    memory: drafts,
    limits: { maxBytes: Number(maxFileMb) * 1024 * 1024, maxCount: Number(maxFiles) },
    onChange: draw,
  });

  /** @param {Iterable<File>} files */
  function add(files) {
    const refused = uploads.add(files);
    if (refused) notice(refused);
  }

  function draw() {
    setHidden(list, !uploads.items.length);
    reconcile(list, uploads.items, {
      elements,
      key: ({ key }) => key,
      make: () => clone("file-template"),
      draw: drawItem,
    });
    onChange();
  }

  /**
   * @param {HTMLElement} element
   * @param {Item} item
   */
  function drawItem(element, item) {
    const { status, name, made, progress } = item;
    setText(part(element, "name"), name);
    part(element, "name").title = name;
    setText(part(element, "detail"), status === "failed" ? item.detail : status === "done" ? inMB(item.size) : `${Math.round(progress * 100)} %`);
    element.classList.toggle("is-failed", status === "failed");
    const bar = part(element, "progress");
    setHidden(bar, status !== "uploading");
    bar.value = progress;
    setHidden(part(element, "again"), status !== "failed" || !item.retryable);
    part(element, "again").setAttribute("aria-label", `Upload ${name} again`);
    part(element, "remove").setAttribute("aria-label", `Remove ${name}`);
    const image = part(element, "image");
    const picture = made?.type.startsWith("image/") ? made : null;
    setHidden(image, !picture);
    setHidden(part(element, "icon"), Boolean(picture));
    if (picture && !image.src) image.src = picture.url;
    if (states.get(item.key) !== status && status !== "uploading") {
      setText(said, status === "done" ? `${name} is attached.` : `${name} was not uploaded. ${item.detail}`);
    }
    states.set(item.key, status);
  }

  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    add(input.files ?? []);
    input.value = "";
  });
  list.addEventListener("click", (event) => {
    const pressed = near(event, "[data-do]");
    const element = pressed?.closest("li");
    const item = uploads.items.find(({ key }) => elements.get(key) === element);
    if (!item || !pressed || !element) return;
    if (pressed.dataset.do === "again") uploads.again(item.key);
    if (pressed.dataset.do === "remove") {
      const next = element.nextElementSibling ?? element.previousElementSibling;
      uploads.remove(item.key);
      setText(said, `${item.name} is removed.`);
      (next ? part(next, "remove") : button).focus();
    }
  });

  form.addEventListener("paste", (event) => {
    const { files = null, types = [] } = event.clipboardData ?? {};
    // A copied table or page comes as a picture too: then the text is what was meant.
    if (!files?.length || types.includes("text/plain")) return;
    event.preventDefault();
    add(files);
  });
  showDropping(form, add);
  draw();
  uploads.check((id) => api.attachment(id).then(() => true, (error) => refusal(error).status !== 404));

  return uploads;
}

/**
 * Files may be dropped anywhere on the session.
 * @param {HTMLFormElement} form
 * @param {(files: Iterable<File>) => void} add
 */
function showDropping(form, add) {
  /** @type {HTMLElement} */
  const target = document.querySelector("main.session") ?? document.body;
  let depth = 0;
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") && !form.hidden;
  const show = () => target.classList.toggle("is-dropping", depth > 0);

  target.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    show();
  });
  target.addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    show();
  });
  target.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  target.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    show();
    add(event.dataTransfer?.files ?? []);
  });
}
