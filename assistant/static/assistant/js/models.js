/** The models one may choose from, by their labels. */

import { api } from "./api.js";
import { orNotice } from "./notices.js";
import { clone, setHidden, setText } from "./parts.js";

let known = { models: [], default: null };

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

/** What a choice of models shows: each {id, label}, also the chosen one that is not on the list; and the default's label. */
export function modelsOffered(chosen) {
  const models = known.models.filter(({ id }) => !id.endsWith("*")); // a pattern is no model
  if (chosen && !models.some(({ id }) => id === chosen)) models.unshift({ id: chosen, label: modelLabel(chosen) });
  return { models, fallback: modelLabel(known.default) };
}

/** A select where there is a choice and the right to make it, the name alone otherwise. */
export function showModel({ chosen, mayChoose, onChoose }) {
  const select = document.querySelector("[data-model]");
  const name = document.querySelector("[data-model-name]");

  function draw() {
    const id = chosen() ?? known.default;
    const hasChoice = known.models.length > 1 && mayChoose();
    setHidden(select, !hasChoice);
    setHidden(name, hasChoice);
    setText(name, modelLabel(id));
    const ids = known.models.map((model) => model.id);
    if (id && !ids.includes(id)) ids.unshift(id);
    if (select.options.length !== ids.length) {
      select.replaceChildren(
        ...ids.map((each) => {
          const option = clone("option-template");
          option.value = each;
          option.textContent = modelLabel(each);
          return option;
        }),
      );
    }
    if (id && select.value !== id && document.activeElement !== select) select.value = id;
  }

  select.addEventListener("change", async () => {
    await orNotice(() => onChoose(select.value));
    draw();
  });
  return draw;
}
