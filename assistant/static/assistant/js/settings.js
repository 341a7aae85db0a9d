/** The session's settings: its system prompt, model, parameters, when the AI speaks, and what sending does meanwhile. */

import { api } from "./api.js";
import { labels, modelControl, modelLabel, modelsOffered } from "./models.js";
import { orNotice } from "./notices.js";
import { clone, part, setHidden, setText } from "./parts.js";
import { mayWrite } from "./state/selectors.js";

const PLAIN = ["system_prompt", "model", "replies", "when_busy", "services"];
const NUMBERS = ["temperature", "top_p", "max_tokens"];
const PARAMETERS = [...NUMBERS, "reasoning_effort"];

export function showSettings({ store, sessionId }) {
  const sheet = document.getElementById("settings-sheet");
  const form = sheet.querySelector("form");
  const fields = form.querySelector("fieldset");
  const read = sheet.querySelector("[data-read-only]");
  let shown = null; // what the fields showed when nobody had touched them; nothing before the session is known

  const services = serviceBoxes(sheet.querySelector("[data-services]"), () => draw(store.state));
  const model = modelControl(form.elements.model, sheet.querySelector("[data-model-id]"));
  const control = (name) => ({ services, model })[name] ?? form.elements[name];
  const values = ({ session }) => valuesOf(session, labels().default);

  function fill(state) {
    model.offer(modelChoices(labels(), state.session?.model));
    shown = values(state);
    for (const name of [...PLAIN, ...PARAMETERS]) control(name).value = shown[name];
    sheet.querySelector("details").open = PARAMETERS.some((name) => shown[name]);
  }

  /** While it is open, fields that one has not touched follow what others change; a touched one is one's own until it is saved. */
  function follow(state) {
    const now = values(state);
    for (const name of [...PLAIN, ...PARAMETERS]) {
      if (control(name).value === shown[name]) control(name).value = now[name];
      shown[name] = now[name];
    }
  }

  let drawn = "";
  function draw(state) {
    const may = mayWrite(state);
    fields.disabled = !may;
    setHidden(read, may);
    const mark = JSON.stringify([values(state), labels(), sheet.open]);
    if (!state.session || mark === drawn) return;
    drawn = mark;
    if (sheet.open && shown) follow(state);
    else fill(state);
  }
  store.paint(draw);
  sheet.addEventListener("close", () => draw(store.state));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const changes = shown && changesOf(shown, Object.fromEntries([...PLAIN, ...PARAMETERS].map((name) => [name, control(name).value])));
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
 */
function serviceBoxes(group, changed) {
  let wanted = [];
  const boxes = new Map();
  api.tools().then(({ services }) => {
    for (const { name, title, description } of services) {
      const label = clone("service-template");
      setText(part(label, "service-title"), title);
      setText(part(label, "service-note"), description);
      boxes.set(name, group.appendChild(label).querySelector("input"));
      boxes.get(name).checked = wanted.includes(name);
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

/** The models of the list: the default first, and once, whether the session names it or takes it as it comes. */
export function modelChoices(known, chosen) {
  const others = modelsOffered(known, chosen).filter(({ id }) => id !== known.default);
  return [{ id: "", label: `${modelLabel(known.default)} (the default)` }, ...others];
}

/** A session's settings as the form's values: strings, "" for what is not set. The default model is "", also by its name. */
export function valuesOf(session, defaultModel = null) {
  const parameters = session?.parameters ?? {};
  const values = Object.fromEntries(PARAMETERS.map((name) => [name, String(parameters[name] ?? "")]));
  return {
    ...values,
    system_prompt: session?.system_prompt ?? "",
    model: session?.model && session.model !== defaultModel ? session.model : "",
    replies: session?.replies ?? "every",
    when_busy: session?.when_busy ?? "queue",
    services: [...(session?.services ?? [])].sort().join(" "),
  };
}

/** What is to be sent: only what was changed, so that nobody else's change is written over. */
export function changesOf(before, now) {
  const changes = {};
  for (const name of PLAIN) {
    if (now[name] !== before[name]) changes[name] = name === "services" ? now[name].split(" ").filter(Boolean) : now[name];
  }
  const parameters = PARAMETERS.filter((name) => now[name] !== before[name]).map((name) => [name, parameter(name, now[name])]);
  return parameters.length ? { ...changes, parameters: Object.fromEntries(parameters) } : changes;
}

function parameter(name, value) {
  if (value === "") return null;
  return NUMBERS.includes(name) ? Number(value) : value;
}
