// @ts-check
/** What a running tool asks people: fields to fill in, or a page to open. Drawn once, so that nobody's typing is lost. */

import { clone, one, part, setHidden, setText } from "./parts.js";
import { hostOf } from "./sources.js";

/** @import { FormField } from "parley/api" */
/** @import { ToldCall } from "parley/frames" */

/** @type {Record<string, string>} */
const TYPES = { email: "email", uri: "url", date: "date", "date-time": "datetime-local" };

/**
 * @param {HTMLElement} element of the call
 * @param {ToldCall} call
 * @param {boolean} isAsked whether it waits for an answer
 * @param {boolean} mayWrite
 */
export function drawForm(element, call, isAsked, mayWrite) {
  const form = part(element, "tool-form");
  setHidden(form, !isAsked);
  const number = isAsked ? String(call.form?.number) : "";
  if ((form.dataset.number ?? "") !== number) fill(form, call, number);
  setHidden(part(form, "form-choices"), !mayWrite);
  part(form, "form-fields").disabled = !mayWrite;
}

/**
 * @param {HTMLFormElement} form
 * @param {ToldCall} call
 * @param {string} number "": nothing is asked
 */
function fill(form, call, number) {
  form.dataset.number = number;
  const { fields = [], message = "", url = "" } = (number && call.form) || {};
  setText(part(form, "form-question"), `${call.title} asks:`);
  setText(part(form, "form-message"), message);
  part(form, "form-fields").replaceChildren(...fields.map((field, index) => drawField(field, `form-${call.id}-${index}`)));
  const link = part(form, "form-link");
  const host = hostOf(url);
  setHidden(link, !host);
  if (host) {
    link.href = url;
    setText(link, `Open ${host} in a new tab`);
    link.title = url;
  }
  setText(part(form, "form-send"), url ? "I have opened it" : "Send");
}

/**
 * @param {FormField} field
 * @param {string} id
 */
function drawField(field, id) {
  const element = clone(`form-${TEMPLATES[field.kind]}-template`);
  setText(part(element, "label"), field.title + (field.required || field.kind === "boolean" ? "" : " (may stay empty)"));
  const help = part(element, "help");
  setText(help, field.description);
  setHidden(help, !field.description);
  DRAW[field.kind](element, field, id);
  return element;
}

/** @type {Record<FormField["kind"], "input" | "check" | "select" | "checks">} */
const TEMPLATES = { text: "input", number: "input", integer: "input", boolean: "check", choice: "select", choices: "checks" };

/** @type {Record<FormField["kind"], (element: HTMLElement, field: FormField, id: string) => void>} */
const DRAW = {
  text: drawInput,
  number: drawInput,
  integer: drawInput,
  boolean: (element, field) => (one(element, "input").checked = Boolean(field.default)),
  choice(element, field, id) {
    const select = named(element, "select", id);
    select.required = field.required;
    select.add(new Option("", ""));
    for (const { value, title } of field.options ?? []) select.add(new Option(title, value));
    select.value = String(field.default ?? "");
  },
  choices(element, field) {
    for (const { value, title } of field.options ?? []) {
      const option = clone("form-check-template");
      const box = one(option, "input");
      box.value = value;
      box.checked = Array.isArray(field.default) && field.default.includes(value);
      setText(part(option, "label"), title);
      setHidden(part(option, "help"), true);
      part(element, "options").append(option);
    }
  },
};

/**
 * @param {HTMLElement} element
 * @param {FormField} field
 * @param {string} id
 */
function drawInput(element, field, id) {
  const input = named(element, "input", id);
  input.required = field.required;
  if (field.kind === "text") {
    input.type = TYPES[field.format ?? ""] ?? "text";
    input.minLength = field.least ?? 0;
    if (field.most !== undefined) input.maxLength = field.most;
    input.value = field.format === "date-time" ? "" : String(field.default ?? "");
    return;
  }
  input.type = "number";
  input.step = field.kind === "integer" ? "1" : "any";
  input.min = String(field.least ?? "");
  input.max = String(field.most ?? "");
  input.value = String(field.default ?? "");
}

/**
 * @template {"input" | "select"} K
 * @param {HTMLElement} element
 * @param {K} tag
 * @param {string} id
 */
function named(element, tag, id) {
  const input = one(element, tag);
  input.id = id;
  part(element, "label").setAttribute("for", id);
  return input;
}

/**
 * What stands in a form's fields, by their names; what is empty is left out.
 * @param {HTMLFormElement} form
 * @param {FormField[]} fields
 */
export function givenIn(form, fields) {
  /** @type {Record<string, unknown>} */
  const given = {};
  for (const [index, element] of [...part(form, "form-fields").children].entries()) {
    const field = fields[index];
    const value = field && valueOf(field, element);
    if (field && value !== null) given[field.name] = value;
  }
  return given;
}

/**
 * The value of one field, or null.
 * @param {Pick<FormField, "kind" | "format">} field
 * @param {ParentNode} element
 */
function valueOf({ kind, format }, element) {
  if (kind === "boolean") return one(element, "input").checked;
  if (kind === "choices") {
    /** @type {NodeListOf<HTMLInputElement>} */
    const boxes = element.querySelectorAll("input:checked");
    return boxes.length ? [...boxes].map(({ value }) => value) : null;
  }
  const { value } = /** @type {HTMLInputElement | HTMLSelectElement} */ (element.querySelector("input, select"));
  if (value === "") return null;
  if (kind === "number" || kind === "integer") return Number(value);
  return format === "date-time" ? new Date(value).toISOString() : value;
}
