// @ts-check
/**
 * The session's settings: its system prompt, model, parameters, when the AI speaks, and what sending does meanwhile. Loaded
 * when they are first opened; until then their fields are disabled, by the template.
 */

import { api } from "./api.js";
import { labels, modelControl, modelLabel, modelsOffered } from "./models.js";
import { orNotice } from "./notices.js";
import { byId, clone, fieldOf, one, part, setHidden, setText } from "./parts.js";
import { mayWrite } from "./state/selectors.js";

/** @import { SessionChanges } from "parley/api" */
/** @import { ToldSession } from "parley/frames" */
/** @import { Known } from "./models.js" */
/** @import { State } from "./state/reducer.js" */
/** @import { Store } from "./store.js" */

const PLAIN = /** @type {const} */ (["system_prompt", "model", "replies", "when_busy", "services"]);
const NUMBERS = /** @type {const} */ (["temperature", "top_p", "max_tokens"]);
const PARAMETERS = /** @type {const} */ ([...NUMBERS, "reasoning_effort"]);
const ALL = [...PLAIN, ...PARAMETERS];

/** A session's settings as the form's values: strings, "" for what is not set. @typedef {Record<(typeof ALL)[number], string>} Values */

/** @param {{ store: Store, sessionId: string }} options */
export function showSettings({ store, sessionId }) {
  const sheet = byId("settings-sheet");
  const form = one(sheet, "form");
  const fields = one(form, "fieldset");
  const read = one(sheet, "[data-read-only]");
  /** @type {Values | null} */
  let shown = null; // what the fields showed when nobody had touched them; nothing before the session is known

  const services = serviceBoxes(one(sheet, "[data-services]"), () => draw(store.state));
  const model = modelControl(fieldOf(form, "model"), one(sheet, "[data-model-id]"));
  const control = (/** @type {keyof Values} */ name) => (name === "services" ? services : name === "model" ? model : fieldOf(form, name));
  const values = (/** @type {State} */ { session }) => valuesOf(session, labels().default);

  /** @param {State} state */
  function fill(state) {
    model.offer(modelChoices(labels(), state.session?.model));
    const now = values(state);
    for (const name of ALL) control(name).value = now[name];
    one(sheet, "details").open = PARAMETERS.some((name) => now[name]);
    shown = now;
  }

  /**
   * While it is open, fields that one has not touched follow what others change; a touched one is one's own until it is saved.
   * @param {State} state
   * @param {Values} before
   */
  function follow(state, before) {
    const now = values(state);
    for (const name of ALL) if (control(name).value === before[name]) control(name).value = now[name];
    shown = now;
  }

  let drawn = "";
  /** @param {State} state */
  function draw(state) {
    const may = mayWrite(state);
    fields.disabled = !may;
    setHidden(read, may);
    const mark = JSON.stringify([values(state), labels(), sheet.open]);
    if (!state.session || mark === drawn) return;
    drawn = mark;
    if (sheet.open && shown) follow(state, shown);
    else fill(state);
  }
  draw(store.state);
  store.paint(draw);
  sheet.addEventListener("close", () => draw(store.state));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = /** @type {Values} */ (Object.fromEntries(ALL.map((name) => [name, control(name).value])));
    const changes = shown && changesOf(shown, given);
    if (changes && Object.keys(changes).length) {
      const session = await orNotice(() => api.changeSession(sessionId, changes));
      if (!session) return;
      store.dispatch({ type: "session.updated", session });
    }
    sheet.close();
  });
}

/**
 * A box for each service of tools that there is, as one control: its value is the names of those that are checked. What a
 * session holds and isn't offered any more is kept.
 * @param {HTMLElement} group
 * @param {() => void} changed
 */
function serviceBoxes(group, changed) {
  /** @type {string[]} */
  let wanted = [];
  /** @type {Map<string, HTMLInputElement>} */
  const boxes = new Map();
  api.tools().then(({ services }) => {
    for (const { name, title, description } of services) {
      const label = clone("service-template");
      setText(part(label, "service-title"), title);
      setText(part(label, "service-note"), description);
      const box = one(group.appendChild(label), "input");
      box.checked = wanted.includes(name);
      boxes.set(name, box);
    }
    setHidden(group, !boxes.size);
    changed();
  }, () => {}); // then there is nothing to choose from; the next page asks again
  return {
    get value() {
      const checked = [...boxes].filter(([, box]) => box.checked).map(([name]) => name);
      return [...wanted.filter((name) => !boxes.has(name)), ...checked].sort().join(" ");
    },
    set value(names) {
      wanted = names.split(" ").filter(Boolean);
      for (const [name, box] of boxes) box.checked = wanted.includes(name);
    },
  };
}

/**
 * The models of the list: the default first, and once, whether the session names it or takes it as it comes.
 * @param {Known} known
 * @param {string | null | undefined} chosen
 */
export function modelChoices(known, chosen) {
  const others = modelsOffered(known, chosen).filter(({ id }) => id !== known.default);
  return [{ id: "", label: `${modelLabel(known.default)} (the default)` }, ...others];
}

/**
 * The default model is "", also by its name.
 * @param {ToldSession | null | undefined} session
 * @param {string | null} [defaultModel]
 * @returns {Values}
 */
export function valuesOf(session, defaultModel = null) {
  const parameters = session?.parameters ?? {};
  return {
    temperature: String(parameters.temperature ?? ""),
    top_p: String(parameters.top_p ?? ""),
    max_tokens: String(parameters.max_tokens ?? ""),
    reasoning_effort: String(parameters.reasoning_effort ?? ""),
    system_prompt: session?.system_prompt ?? "",
    model: session?.model && session.model !== defaultModel ? session.model : "",
    replies: session?.replies ?? "every",
    when_busy: session?.when_busy ?? "queue",
    services: [...(session?.services ?? [])].sort().join(" "),
  };
}

/**
 * What is to be sent: only what was changed, so that nobody else's change is written over.
 * @param {Values} before
 * @param {Values} now
 * @returns {SessionChanges}
 */
export function changesOf(before, now) {
  /** @type {Record<string, unknown>} */
  const changes = {};
  for (const name of PLAIN) {
    if (now[name] !== before[name]) changes[name] = name === "services" ? now[name].split(" ").filter(Boolean) : now[name];
  }
  const parameters = PARAMETERS.filter((name) => now[name] !== before[name]).map((name) => [name, parameter(name, now[name])]);
  return parameters.length ? { ...changes, parameters: Object.fromEntries(parameters) } : changes;
}

/**
 * @param {(typeof PARAMETERS)[number]} name
 * @param {string} value
 */
function parameter(name, value) {
  if (value === "") return null;
  return name === "reasoning_effort" ? value : Number(value);
}
