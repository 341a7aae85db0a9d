/** The composer's files: picked, dropped or pasted; shown with their progress; removed or tried again. */

import { api } from "./api.js";
import { notice } from "./notices.js";
import { clone, part, reconcile, setHidden, setText } from "./parts.js";
import { createUploads, inMB } from "./uploads.js";

/** `sessionId` null: for a session that does not exist yet. onChange() when the composer should look again. Null where files are switched off. */
export function showAttach({ sessionId, drafts, onChange }) {
  const form = document.querySelector("[data-composer]");
  const { maxFileMb, maxFiles } = document.body.dataset;
  const button = form.querySelector("[data-attach]");
  if (!button) return null;
  const input = form.querySelector("[data-file-input]");
  const list = form.querySelector("[data-files]");
  const said = form.querySelector("[data-files-said]");
  const elements = new Map();
  const states = new Map(); // key -> the status that was read out

  const uploads = createUploads({
    upload: (file, options) => api.upload(sessionId, file, options),
    takeBack: (id) => api.takeBack(id).catch(() => {}), // if it stays, the server sweeps it away
    memory: drafts,
    limits: { maxBytes: Number(maxFileMb) * 1024 * 1024, maxCount: Number(maxFiles) },
    onChange: draw,
  });

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
    const isImage = Boolean(made?.type.startsWith("image/"));
    setHidden(image, !isImage);
    setHidden(part(element, "icon"), isImage);
    if (isImage && !image.src) image.src = made.url;
    if (states.get(item.key) !== status && status !== "uploading") {
      setText(said, status === "done" ? `${name} is attached.` : `${name} was not uploaded. ${item.detail}`);
    }
    states.set(item.key, status);
  }

  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    add(input.files);
    input.value = "";
  });
  list.addEventListener("click", (event) => {
    const pressed = event.target.closest("button[data-do]");
    const element = pressed?.closest("li");
    const item = uploads.items.find(({ key }) => elements.get(key) === element);
    if (!item) return;
    if (pressed.dataset.do === "again") uploads.again(item.key);
    if (pressed.dataset.do === "remove") {
      const next = element.nextElementSibling ?? element.previousElementSibling;
      uploads.remove(item.key);
      setText(said, `${item.name} is removed.`);
      (next ? part(next, "remove") : button).focus();
    }
  });

  form.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    // A copied table or page comes as a picture too: then the text is what was meant.
    if (!files.length || event.clipboardData.types.includes("text/plain")) return;
    event.preventDefault();
    add(files);
  });
  showDropping({ form, add });
  draw();
  uploads.check((id) => api.attachment(id).then(() => true, (error) => error.status !== 404));

  return uploads;
}

/** Files may be dropped anywhere on the session. */
function showDropping({ form, add }) {
  const target = document.querySelector("main.session") ?? document.body;
  let depth = 0;
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files") && !form.hidden;
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
    add(event.dataTransfer.files);
  });
}
