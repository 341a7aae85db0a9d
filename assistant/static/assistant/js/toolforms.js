/** What a running tool asks people: fields to fill in, or a page to open. Drawn once, so that nobody's typing is lost. */

import { clone, part, setHidden, setText } from "./parts.js";
import { hostOf } from "./sources.js";

const TYPES = { email: "email", uri: "url", date: "date", "date-time": "datetime-local" };

export function drawForm(element, call, isAsked, mayWrite) {
  const form = part(element, "tool-form");
  setHidden(form, !isAsked);
  const number = isAsked ? String(call.form.number) : "";
  if ((form.dataset.number ?? "") !== number) fill(form, call, number);
  setHidden(part(form, "form-choices"), !mayWrite);
  part(form, "form-fields").disabled = !mayWrite;
}

function fill(form, call, number) {
  form.dataset.number = number;
  const { fields = [], message = "", url = "" } = number ? call.form : {};
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

function drawField(field, id) {
  const element = clone(`form-${TEMPLATES[field.kind]}-template`);
  setText(part(element, "label"), field.title + (field.required || field.kind === "boolean" ? "" : " (may stay empty)"));
  const help = part(element, "help");
  setText(help, field.description);
  setHidden(help, !field.description);
  DRAW[field.kind](element, field, id);
  return element;
}

const TEMPLATES = { text: "input", number: "input", integer: "input", boolean: "check", choice: "select", choices: "checks" };

const DRAW = {
  text: drawInput,
  number: drawInput,
  integer: drawInput,
  boolean: (element, field) => (element.querySelector("input").checked = field.default ?? false),
  choice(element, field, id) {
    const select = named(element, "select", id);
    select.required = field.required;
    select.add(new Option("", ""));
    for (const { value, title } of field.options) select.add(new Option(title, value));
    select.value = field.default ?? "";
  },
  choices(element, field) {
    for (const { value, title } of field.options) {
      const option = clone("form-check-template");
      const box = option.querySelector("input");
      box.value = value;
      box.checked = (field.default ?? []).includes(value);
      setText(part(option, "label"), title);
      setHidden(part(option, "help"), true);
      part(element, "options").append(option);
    }
  },
};

function drawInput(element, field, id) {
  const input = named(element, "input", id);
  input.required = field.required;
  if (field.kind === "text") {
    input.type = TYPES[field.format] ?? "text";
    input.minLength = field.least;
    input.maxLength = field.most;
    input.value = field.format === "date-time" ? "" : (field.default ?? "");
    return;
  }
  input.type = "number";
  input.step = field.kind === "integer" ? "1" : "any";
  input.min = field.least ?? "";
  input.max = field.most ?? "";
  input.value = field.default ?? "";
}

function named(element, selector, id) {
  const input = element.querySelector(selector);
  input.id = id;
  part(element, "label").htmlFor = id;
  return input;
}

/** What stands in a form's fields, by their names; what is empty is left out. */
export function givenIn(form, fields) {
  const elements = part(form, "form-fields").children;
  const pairs = fields.map((field, index) => [field.name, valueOf(field, elements[index])]);
  return Object.fromEntries(pairs.filter(([, value]) => value !== null));
}

/** The value of one field, or null. */
export function valueOf({ kind, format }, element) {
  if (kind === "boolean") return element.querySelector("input").checked;
  if (kind === "choices") {
    const chosen = [...element.querySelectorAll("input:checked")].map(({ value }) => value);
    return chosen.length ? chosen : null;
  }
  const { value } = element.querySelector("input, select");
  if (value === "") return null;
  if (kind === "number" || kind === "integer") return Number(value);
  return format === "date-time" ? new Date(value).toISOString() : value;
}
