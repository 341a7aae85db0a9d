// @ts-check
/** The models one may choose from, by their labels. */

import { api } from "./api.js";
import { notice, orNotice } from "./notices.js";
import { clone, one, setHidden, setText } from "./parts.js";

/** @import { Model, Models } from "parley/api" */

/** Before they are loaded there is neither. @typedef {Omit<Models, "default"> & { default: string | null }} Known */

/** @type {Known} */
let known = { models: [], default: null };

/**
 * What people call a model.
 * @param {string | null} [id] of none: the default
 */
export function modelLabel(id) {
  const name = id ?? known.default;
  return known.models.find((model) => model.id === name)?.label ?? name?.split("/").at(-1) ?? "the assistant";
}

/** The same object until the labels change. */
export function labels() {
  return known;
}

export async function loadModels() {
  try {
    known = await api.models();
  } catch {
    // Labels fall back to the ids.
  }
  return known;
}

/**
 * The models to choose from, with what is chosen also where it is not on the list. Patterns come last.
 * @param {Known} known
 * @param {string | null | undefined} chosen
 * @returns {Model[]}
 */
export function modelsOffered({ models }, chosen) {
  const single = models.filter(({ id }) => !isPattern(id));
  if (chosen && !isPattern(chosen) && !single.some(({ id }) => id === chosen)) single.unshift({ id: chosen, label: modelLabel(chosen) });
  return [...single, ...models.filter(({ id }) => isPattern(id)).map(({ id, label }) => ({ id, label: `${label}…` }))];
}

/**
 * An id that ends in `*` stands for each that begins so: one has to be named.
 * @param {string} id
 */
function isPattern(id) {
  return id.endsWith("*");
}

/**
 * A select of models, and a field for the id where a pattern is chosen, as one control: its value is a model's id.
 * @param {HTMLSelectElement} select
 * @param {HTMLInputElement} field
 */
export function modelControl(select, field) {
  const follow = () => setHidden(field, !isPattern(select.value));
  select.addEventListener("change", () => {
    follow();
    if (field.hidden) return;
    field.value = select.value.slice(0, -1);
    field.focus();
  });
  return {
    get value() {
      return field.hidden ? select.value : field.value.trim();
    },
    set value(id) {
      if (select.value !== id) select.value = id;
      follow();
    },
    /** @param {Model[]} models to choose from */
    offer(models) {
      select.replaceChildren(
        ...models.map(({ id, label }) => {
          const option = clone("option-template");
          option.value = id;
          option.textContent = label;
          return option;
        }),
      );
    },
  };
}

/**
 * A select where there is a choice and the right to make it, the name alone otherwise. Returns what draws it.
 * @param {{ chosen: () => string | null | undefined, mayChoose: () => boolean, onChoose: (id: string) => Promise<void> }} options
 */
export function showModel({ chosen, mayChoose, onChoose }) {
  const select = one(document, "[data-model]");
  const field = one(document, "[data-model-id]");
  const name = one(document, "[data-model-name]");
  const control = modelControl(select, field);

  function draw() {
    const id = chosen() ?? known.default;
    const models = modelsOffered(known, id);
    const hasChoice = models.length > 1 && mayChoose();
    setHidden(select, !hasChoice);
    setHidden(name, hasChoice);
    if (!hasChoice) setHidden(field, true);
    setText(name, modelLabel(id));
    const { options } = select;
    if (options.length !== models.length || models.some((model, index) => model.id !== options[index]?.value)) control.offer(models);
    if (id && field.hidden && document.activeElement !== select) control.value = id;
  }

  /** @param {string} id */
  async function choose(id) {
    await orNotice(() => onChoose(id));
    settle();
  }

  function settle() {
    draw();
    control.value = chosen() ?? known.default ?? "";
  }

  select.addEventListener("change", () => field.hidden && choose(control.value));
  field.addEventListener("blur", () => {
    const id = control.value;
    const isNamed = id && `${id}*` !== select.value;
    setHidden(field, true);
    if (isNamed) return void choose(id);
    settle();
    // Whoever turned away from a model must not ask it unawares.
    if (id) notice(`No model was named after “${id}”: ${modelLabel(chosen())} is still asked.`);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") field.value = "";
    if (event.key === "Enter" || event.key === "Escape") select.focus(); // which leaves the field
  });
  return draw;
}
