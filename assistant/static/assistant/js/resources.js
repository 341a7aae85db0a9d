/** The sheet from which one attaches what the session's MCP servers have to read. */

import { api } from "./api.js";
import { clone, part, setHidden, setText } from "./parts.js";
import { WHY_NOT } from "./asides.js";
import { inMB } from "./uploads.js";

/** attach(made) takes what the server made of one. */
export function showResources({ store, sessionId, attach }) {
  const button = document.querySelector("[data-resources]");
  const sheet = document.getElementById("resources-sheet");
  if (!button || !sheet) return;
  const list = sheet.querySelector("[data-resource-list]");
  const status = sheet.querySelector("[data-resource-status]");
  let servers = null; // names of the services that are MCP servers, once that was asked
  let found = [];

  async function offer({ session }) {
    if (!session?.services?.length) return setHidden(button, true);
    servers ??= api.tools().then(({ services }) => new Set(services.filter((service) => service.is_server).map(({ name }) => name)));
    const known = await servers.catch(() => (servers = null));
    return setHidden(button, !known || !session.services.some((name) => known.has(name)));
  }

  async function open() {
    list.replaceChildren();
    setText(status, "Looking…");
    sheet.showModal();
    try {
      const { resources, missing } = await api.resources(sessionId);
      found = resources;
      list.replaceChildren(...resources.map(drawn));
      const away = missing.map(({ title, why }) => `Without ${title}: ${WHY_NOT[why] ?? WHY_NOT.away}.`);
      setText(status, [resources.length ? "" : "The servers of this session have nothing to read.", ...away].filter(Boolean).join(" "));
    } catch (error) {
      setText(status, error.message);
    }
  }

  function drawn(resource) {
    const item = clone("resource-template");
    setText(part(item, "name"), resource.name);
    setText(part(item, "about"), [resource.server_title, resource.size && inMB(resource.size)].filter(Boolean).join(" · "));
    setText(part(item, "description"), resource.description || resource.uri);
    item.querySelector("button").title = resource.uri;
    return item;
  }

  async function take(chosen) {
    const { server, uri, name } = found[[...list.children].indexOf(chosen.closest("li"))];
    chosen.disabled = true;
    setText(status, `Reading ${name}…`);
    try {
      attach(await api.attachResource(sessionId, server, uri));
      sheet.close();
    } catch (error) {
      chosen.disabled = false;
      setText(status, error.message);
    }
  }

  button.addEventListener("click", open);
  list.addEventListener("click", (event) => {
    const chosen = event.target.closest("button");
    if (chosen) take(chosen);
  });
  store.watch((state, before) => state.session?.services !== before.session?.services && offer(state));
  offer(store.state);
}
