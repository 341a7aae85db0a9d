// @ts-check
/** The files of a message: images to look at, all else to download. */

import { clone, one, part, setHidden, setText } from "./parts.js";
import { inMB } from "./uploads.js";

/** @import { Attachment } from "parley/api" */

/**
 * Draws `attachments` into a list of them; cheap where they are the same as before.
 * @param {HTMLElement} list
 * @param {Attachment[]} attachments
 */
export function drawAttachments(list, attachments) {
  const mark = attachments.map(({ id, problem }) => `${id} ${problem ?? ""}`).join();
  setHidden(list, !attachments.length);
  if (list.dataset.mark === mark) return;
  list.dataset.mark = mark;
  list.replaceChildren(...attachments.map(drawn));
}

/** @param {Attachment} attachment */
function drawn(attachment) {
  const isImage = attachment.type.startsWith("image/");
  const element = clone(isImage ? "image-template" : "document-template");
  const link = one(element, "a");
  link.href = attachment.url;
  const note = part(element, "problem");
  setText(note, attachment.problem ?? "");
  setHidden(note, !attachment.problem);
  if (isImage) {
    const image = one(element, "img");
    image.alt = attachment.name;
    const { width, height } = attachment;
    if (width && height) [image.width, image.height] = fitting(width, height);
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

/**
 * The size at which it is shown, so that nothing moves when it arrives.
 * @param {number} width
 * @param {number} height
 * @returns {[number, number]}
 */
function fitting(width, height) {
  const scale = Math.min(1, WIDEST / width, HIGHEST / height);
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}
