/**
 * The blocks of a text in the page. The server sends safe HTML, one string for each block (assistant/markup); here only those
 * that changed are drawn again. A block that goes on with the code or the table of the one before it is put into that one's
 * frame, so that they scroll as one and columns stay in line.
 */

import { clone } from "./parts.js";

const CODE_GOES_ON = '<figure class="code continued"';
const PARTS_OF_ONE_TABLE = 4;
const TABLE_GOES_ON = '<div class="table continued">';

/** Makes `body` show `blocks`. `slots` is what an earlier call returned for it: [{html, node}], one for each block. */
export function drawBlocks(body, blocks, slots = []) {
  let first = 0;
  while (first < blocks.length && slots[first]?.html === blocks[first]) first += 1;
  const drawn = slots.slice(0, blocks.length);
  for (let index = slots.length - 1; index >= blocks.length; index -= 1) slots[index].node.remove();
  let frameIsNew = false; // then its former content is gone, that of the blocks that go on with it, too
  for (let index = first; index < blocks.length; index += 1) {
    const html = blocks[index];
    const goesOn = html.startsWith(CODE_GOES_ON) ? "pre > code" : html.startsWith(TABLE_GOES_ON) ? "tbody" : null;
    const home = goesOn && index > 0 ? drawn[index - 1].inner(goesOn) : null;
    if (!goesOn) frameIsNew = false;
    const old = drawn[index];
    if (old?.html === html && !frameIsNew && old.node.isConnected) continue;
    drawn[index] = home ? drawPart(html, goesOn, home, old) : drawBlock(body, html, old, drawn[index - 1]);
    if (!home) frameIsNew = true;
  }
  return drawn;
}

function drawBlock(body, html, old, before) {
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
  return { html, node, inner: (selector) => node.querySelector(selector) };
}

function drawPart(html, selector, home, old) {
  const parsed = clone("block-template");
  parsed.innerHTML = html;
  let node = parsed.querySelector(selector);
  if (selector === "tbody" && (home.matches("table") || (!old?.node.matches("tbody") && isLong(home)))) {
    node = parsed.querySelector("table");
    lineUp(node, home.closest(".table").querySelector("table"));
  }
  old?.node.remove();
  (node.matches("table") ? home.closest("table") : home).after(node);
  return { html, node, inner: () => node };
}

function isLong(part) {
  const table = part.closest("table");
  return table.tBodies.length >= PARTS_OF_ONE_TABLE;
}

/**
 * A browser lays a table out anew as a whole with each row that comes. So what comes after the first parts of a long one are
 * tables below it, in the same scroller, whose columns are as wide as its columns are then.
 */
function lineUp(table, first) {
  const head = [...(first.tHead?.rows[0]?.cells ?? [])];
  if (!first.style.width) {
    const widths = head.map((cell) => cell.getBoundingClientRect().width);
    const sum = widths.reduce((all, width) => all + width, 0);
    if (!sum) return; // out of sight, and so not laid out
    // Some room for longer words to come, more where there is room anyway.
    const room = Math.max(1.1, Math.min(1.6, first.parentElement.clientWidth / sum));
    head.forEach((cell, index) => (cell.style.width = `${widths[index] * room}px`));
    first.style.width = `${sum * room}px`;
    first.style.tableLayout = "fixed";
  }
  table.style.width = first.style.width;
  table.style.tableLayout = "fixed";
  [...(table.rows[0]?.cells ?? [])].forEach((cell, index) => (cell.style.width = head[index]?.style.width ?? ""));
}

/** What the server's HTML can't hold: working buttons, and places that keys can scroll. */
function finish(block) {
  for (const figure of block.querySelectorAll("figure.code")) figure.append(clone("code-copy-template"));
  for (const scrolling of block.querySelectorAll("pre, .table")) scrolling.tabIndex = 0;
}
