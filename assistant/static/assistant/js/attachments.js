/** The files of a message: images to look at, all else to download. */

import { clone, part, setHidden, setText } from "./parts.js";
import { inMB } from "./uploads.js";

/** Draws `attachments` (the message's own) into its list; cheap where they are the same as before. */
export function drawAttachments(list, attachments) {
  const mark = attachments.map(({ id, problem }) => `${id} ${problem ?? ""}`).join();
  setHidden(list, !attachments.length);
  if (list.dataset.mark === mark) return;
  list.dataset.mark = mark;
  list.replaceChildren(...attachments.map(drawn));
}

function drawn(attachment) {
  const isImage = attachment.type.startsWith("image/");
  const element = clone(isImage ? "image-template" : "document-template");
  const link = element.querySelector("a");
  link.href = attachment.url;
  const note = part(element, "problem");
  setText(note, attachment.problem ?? "");
  setHidden(note, !attachment.problem);
  if (isImage) {
    const image = element.querySelector("img");
    image.alt = attachment.name;
    if (attachment.width) [image.width, image.height] = fitting(attachment);
    image.src = `${attachment.url}?small=1`;
    link.setAttribute("aria-label", `${attachment.name}, image, opens in a new tab`);
    return element;
  }
  link.download = attachment.name;
  setText(part(element, "name"), attachment.name);
  setText(part(element, "size"), inMB(attachment.size));
  return element;
}

const WIDEST = 320;
const HIGHEST = 240;

/** The size at which it is shown, so that nothing moves when it arrives. */
function fitting({ width, height }) {
  const scale = Math.min(1, WIDEST / width, HIGHEST / height);
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}
