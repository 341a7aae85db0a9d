import assert from "node:assert/strict";
import test from "node:test";

import { modelControl, modelsOffered } from "../../assistant/static/assistant/js/models.js";
import { changesOf, modelChoices, valuesOf } from "../../assistant/static/assistant/js/settings.js";

const known = { models: [{ id: "a/one", label: "One" }, { id: "b/*", label: "b" }, { id: "a/two", label: "Two" }], default: "a/one" };
const ids = (models) => models.map(({ id }) => id);

test("patterns stand last in the list of models, and ask for more", () => {
  assert.deepEqual(ids(modelsOffered(known, "a/two")), ["a/one", "a/two", "b/*"]);
  assert.equal(modelsOffered(known, "a/two").at(-1).label, "b…");
});

test("a model that was named by its id stands in the list, a pattern that was stored as one does not", () => {
  assert.deepEqual(ids(modelsOffered(known, "b/seven")), ["b/seven", "a/one", "a/two", "b/*"]);
  assert.deepEqual(ids(modelsOffered(known, "b/*")), ["a/one", "a/two", "b/*"]);
});

test("the choice of a pattern is the id that is written in its field", () => {
  const select = Object.assign(new EventTarget(), { value: "a/one" });
  let focused = 0;
  const field = { hidden: true, value: "", focus: () => (focused += 1) };
  const control = modelControl(select, field);
  select.value = "b/*";
  select.dispatchEvent(new Event("change"));
  assert.deepEqual([field.hidden, field.value, focused], [false, "b/", 1]);
  field.value = " b/seven ";
  assert.equal(control.value, "b/seven");
  control.value = "a/two";
  assert.deepEqual([control.value, field.hidden], ["a/two", true]);
});

test("a session's settings show the default model once, also where the session names it", () => {
  assert.deepEqual(ids(modelChoices(known, null)), ["", "a/two", "b/*"]);
  assert.deepEqual(ids(modelChoices(known, "a/one")), ["", "a/two", "b/*"]);
  const named = valuesOf({ model: "a/one" }, "a/one");
  assert.deepEqual(changesOf(named, valuesOf({ model: null }, "a/one")), {});
  assert.deepEqual(changesOf(named, { ...named, model: "a/two" }), { model: "a/two" });
});
