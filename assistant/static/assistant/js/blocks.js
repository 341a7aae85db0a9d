// @ts-check
/**
 * The blocks of a text in the page. The server sends safe HTML, one string for each block (assistant/markup); here only those
 * that changed are drawn again. A block that goes on with the code or the table of the one before it is put into that one's
 * frame, so that they scroll as one and columns stay in line.
 */

import { clone, one } from "./parts.js";

/**
 * A block as it is drawn; inner(selector) is the place in it where what goes on with it is put.
 * @typedef {{ html: string, node: HTMLElement, inner: (selector: "pre > code" | "tbody") => HTMLElement | null }} Slot
 */

const CODE_GOES_ON = '<figure class="code continued"';
const PARTS_OF_ONE_TABLE = 4;
const TABLE_GOES_ON = '<div class="table continued">';

/**
 * Makes `body` show `blocks`. Returns one slot for each block.
 * @param {HTMLElement} body
 * @param {string[]} blocks safe HTML
 * @param {Slot[]} [slots] what an earlier call returned for it
 * @returns {Slot[]}
 */
export function drawBlocks(body, blocks, slots = []) {
  let first = 0;
  while (first < blocks.length && slots[first]?.html === blocks[first]) first += 1;
  const drawn = slots.slice(0, blocks.length);
  for (let index = slots.length - 1; index >= blocks.length; index -= 1) slots[index]?.node.remove();
  let frameIsNew = false; // then its former content is gone, that of the blocks that go on with it, too
  for (let index = first; index < blocks.length; index += 1) {
    const html = blocks[index] ?? "";
    const goesOn = html.startsWith(CODE_GOES_ON) ? "pre > code" : html.startsWith(TABLE_GOES_ON) ? "tbody" : null;
    const home = goesOn && drawn[index - 1]?.inner(goesOn);
    if (!goesOn) frameIsNew = false;
    const old = drawn[index];
    if (old?.html === html && !frameIsNew && old.node.isConnected) continue;
    drawn[index] = goesOn && home ? drawPart(html, goesOn, home, old) : drawBlock(body, html, old, drawn[index - 1]);
    if (!home) frameIsNew = true;
  }
  return drawn;
}

/**
 * @param {HTMLElement} body
 * @param {string} html
 * @param {Slot | undefined} old
 * @param {Slot | undefined} before
 * @returns {Slot}
 */
function drawBlock(body, html, old, before) {
  /** @type {HTMLElement | undefined} */
  let node = old?.node;
  if (!node?.classList.contains("block") || !node.isConnected) {
    node?.remove();
    node = clone("block-template");
    const previous = before?.node.closest(".block");
    if (previous) previous.after(node);
    else body.prepend(node);
  }
  node.innerHTML = html; // made and sanitised by the server
  finish(node);
  const block = node;
  return { html, node, inner: (selector) => block.querySelector(selector) };
}

/**
 * @param {string} html
 * @param {"pre > code" | "tbody"} selector
 * @param {HTMLElement} home where it is put behind
 * @param {Slot | undefined} old
 * @returns {Slot}
 */
function drawPart(html, selector, home, old) {
  const parsed = clone("block-template");
  parsed.innerHTML = html;
  let node = /** @type {HTMLElement} */ (parsed.querySelector(selector));
  let before = home;
  const table = home.closest("table");
  const frame = home.closest(".table");
  if (selector === "tbody" && table && frame && (home === table || (!old?.node.matches("tbody") && isLong(table)))) {
    const own = one(parsed, "table");
    lineUp(own, one(frame, "table"));
    node = own;
    before = table;
  }
  old?.node.remove();
  before.after(node);
  return { html, node, inner: () => node };
}

/** @param {HTMLTableElement} table */
function isLong(table) {
  return table.tBodies.length >= PARTS_OF_ONE_TABLE;
}

/**
 * A browser lays a table out anew as a whole with each row that comes. So what comes after the first parts of a long one are
 * tables below it, in the same scroller, whose columns are as wide as its columns are then.
 * @param {HTMLTableElement} table
 * @param {HTMLTableElement} first
 */
function lineUp(table, first) {
  const head = [...(first.tHead?.rows[0]?.cells ?? [])];
  if (!first.style.width) {
    const widths = head.map((cell) => cell.getBoundingClientRect().width);
    const sum = widths.reduce((all, width) => all + width, 0);
    if (!sum) return; // out of sight, and so not laid out
    // Some room for longer words to come, more where there is room anyway.
    const room = Math.max(1.1, Math.min(1.6, (first.parentElement?.clientWidth ?? 0) / sum));
    head.forEach((cell, index) => (cell.style.width = `${(widths[index] ?? 0) * room}px`));
    first.style.width = `${sum * room}px`;
    first.style.tableLayout = "fixed";
  }
  table.style.width = first.style.width;
  table.style.tableLayout = "fixed";
  [...(table.rows[0]?.cells ?? [])].forEach((cell, index) => (cell.style.width = head[index]?.style.width ?? ""));
}

/**
 * What the server's HTML can't hold: working buttons, and places that keys can scroll.
 * @param {HTMLElement} block
 */
function finish(block) {
  for (const figure of block.querySelectorAll("figure.code")) figure.append(clone("code-copy-template"));
  /** @type {NodeListOf<HTMLElement>} */
  const scrolling = block.querySelectorAll("pre, .table");
  for (const element of scrolling) element.tabIndex = 0;
}
