// @ts-check
/** The sheet from which one attaches what the session's MCP servers have to read. Loaded where a session has services at all. */

import { api } from "./api.js";
import { whyNot } from "./asides.js";
import { refusal } from "./http.js";
import { byId, clone, near, one, part, setHidden, setText } from "./parts.js";
import { inMB } from "./uploads.js";

/** @import { Attachment, Resource } from "parley/api" */
/** @import { State } from "./state/reducer.js" */
/** @import { Store } from "./store.js" */

/**
 * attach(made) takes what the server made of one.
 * @param {{ store: Store, sessionId: string, attach: (made: Attachment) => void }} options
 */
export function showResources({ store, sessionId, attach }) {
  const button = one(document, "[data-resources]");
  const sheet = byId("resources-sheet");
  const list = one(sheet, "[data-resource-list]");
  const status = one(sheet, "[data-resource-status]");
  /** @type {Promise<Set<string>> | null} */
  let servers = null; // names of the services that are MCP servers, once that was asked
  /** @type {Resource[]} */
  let found = [];

  /** @param {State} state */
  async function offer({ session }) {
    const wanted = session?.services ?? [];
    if (!wanted.length) return setHidden(button, true);
    servers ??= api.tools().then(({ services }) => new Set(services.filter((service) => service.is_server).map(({ name }) => name)));
    const known = await servers.catch(() => (servers = null));
    return setHidden(button, !known || !wanted.some((name) => known.has(name)));
  }

  async function open() {
    list.replaceChildren();
    setText(status, "Looking…");
    sheet.showModal();
    try {
      const { resources, missing } = await api.resources(sessionId);
      found = resources;
      list.replaceChildren(...resources.map(drawn));
      const away = missing.map(({ title, why }) => `Without ${title}: ${whyNot(why)}.`);
      setText(status, [resources.length ? "" : "The servers of this session have nothing to read.", ...away].filter(Boolean).join(" "));
    } catch (error) {
      setText(status, refusal(error).message);
    }
  }

  /** @param {Resource} resource */
  function drawn(resource) {
    const item = clone("resource-template");
    setText(part(item, "name"), resource.name);
    setText(part(item, "about"), [resource.server_title, resource.size && inMB(resource.size)].filter(Boolean).join(" · "));
    setText(part(item, "description"), resource.description || resource.uri);
    one(item, "button").title = resource.uri;
    return item;
  }

  /** @param {HTMLButtonElement} chosen */
  async function take(chosen) {
    const resource = found[[...list.children].findIndex((item) => item.contains(chosen))];
    if (!resource) return;
    const { server, uri, name } = resource;
    chosen.disabled = true;
    setText(status, `Reading ${name}…`);
    try {
      attach(await api.attachResource(sessionId, server, uri));
      sheet.close();
    } catch (error) {
      chosen.disabled = false;
      setText(status, refusal(error).message);
    }
  }

  button.addEventListener("click", open);
  list.addEventListener("click", (event) => {
    const chosen = near(event, "button");
    if (chosen) take(chosen);
  });
  store.watch((state, before) => state.session?.services !== before.session?.services && offer(state));
  offer(store.state);
}
