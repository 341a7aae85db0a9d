/** What one does with a single message beside reading it: link to it, fork from it, ask it anew, look how it was asked. */

import { api } from "./api.js";
import { newClientId } from "./drafts.js";
import { openMenu } from "./menu.js";
import { modelLabel } from "./models.js";
import { notice, orNotice } from "./notices.js";
import { clone, copyText, part, setHidden, setText } from "./parts.js";
import { afterGap, isOpen, mayResend } from "./state/selectors.js";

const LINK = /^#message-([0-9a-f-]{36})$/;
const MARKED_MS = 4_000;
const PARAMETERS = {
  temperature: "Temperature",
  top_p: "Top p",
  max_tokens: "Longest answer, in tokens",
  reasoning_effort: "Reasoning effort",
};

/** The actions for `showMessages`, and `jump` for a page that has its first snapshot. `sessionUrl(id)` is an address. */
export function keepMessages({ store, sessionId, sessionUrl }) {
  const menu = document.getElementById("message-menu");
  let chosen = null; // the message that the menu is about
  let view = null; // what showMessages gives

  const actions = {
    more({ message }, button) {
      chosen = message;
      part(menu, "fork").disabled = isOpen(message);
      setHidden(part(menu, "asked-with"), message.role !== "assistant");
      openMenu(menu, button);
    },
    "edit-asked": ({ message }, _, element) => edit(element, message),
    "keep-asked": (_, __, element) => edit(element, null),
    "gap-later": ({ message }) => fill({ after: message.gap }, () => api.after(sessionId, message.gap)),
    "gap-earlier": ({ message }) => {
      const next = afterGap(store.state, message.gap);
      return next && fill({ before: next.id }, () => api.older(sessionId, next.id));
    },
  };

  part(menu, "link").addEventListener("click", async () => {
    menu.hidePopover();
    const link = new URL(`${sessionUrl(sessionId)}#message-${chosen.id}`, location.href).href;
    notice((await copyText(link)) ? "Link copied. It works for everyone in this session." : "Could not copy the link.");
  });

  part(menu, "fork").addEventListener("click", async () => {
    menu.hidePopover();
    const session = await orNotice(() => api.fork(chosen.id));
    if (session) location.assign(sessionUrl(session.id));
  });

  part(menu, "asked-with").addEventListener("click", async () => {
    menu.hidePopover();
    const asked = await orNotice(() => api.askedWith(chosen.id));
    if (!asked) return;
    const sheet = document.getElementById("asked-sheet");
    const parameters = Object.entries(asked.parameters).map(([name, value]) => `${PARAMETERS[name] ?? name}: ${value}`);
    setText(part(sheet, "model"), modelLabel(asked.model));
    setText(part(sheet, "parameters"), parameters.join("\n") || "The model’s own.");
    setText(part(sheet, "prompt"), asked.system_prompt || "None.");
    sheet.showModal();
  });

  // --- asking anew ---

  function edit(element, message) {
    const isBegun = element.querySelector("form");
    setHidden(part(element, "body"), Boolean(message));
    setHidden(part(element, "actions"), Boolean(message));
    if (!message) {
      isBegun?.remove();
      return part(element, "edit-asked").focus();
    }
    const form = isBegun ?? clone("asked-form-template");
    if (!isBegun) part(element, "body").after(form);
    const field = form.elements.content;
    field.value = message.content;
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
    form.scrollIntoView({ block: "nearest" });
    return view.moved();
  }

  async function resend(element, form, message) {
    const content = form.elements.content.value.trim();
    if (!content) return;
    if (content === message.content) return edit(element, null);
    // The same text again under the same id: a second press of the button asks nothing more.
    if (form.dataset.content !== content) Object.assign(form.dataset, { content, clientId: newClientId() });
    const sent = await orNotice(() => api.resend(message.id, { client_id: form.dataset.clientId, content }));
    if (!sent) return;
    edit(element, null);
    const old = { ...message, version: message.version + 1, superseded_by: sent.message.id };
    store.dispatch({ type: "ui.anew", messages: [old, sent.message, sent.reply] });
    view.toEnd();
  }

  const list = document.querySelector("[data-messages]");
  list.addEventListener("submit", (event) => {
    if (!event.target.matches(".message-edit")) return;
    const element = event.target.closest(".message");
    event.preventDefault();
    const message = view.messageOf(element);
    if (message) resend(element, event.target, message);
  });
  list.addEventListener("keydown", (event) => {
    const form = event.target.closest("form");
    if (!form) return;
    if (event.key === "Escape") edit(form.closest(".message"), null);
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && matchMedia("(pointer: fine)").matches) {
      event.preventDefault();
      form.requestSubmit();
    }
  });

  // --- jumping ---

  async function fill(joint, load) {
    const page = await orNotice(load);
    if (page) store.dispatch({ type: "ui.page", ...joint, ...page });
  }

  /** Shows the message that the address names, wherever in the history it stands. */
  async function jump() {
    const id = LINK.exec(location.hash)?.[1];
    if (!id) return;
    if (!store.state.messages.some((message) => message.id === id)) {
      try {
        store.dispatch({ type: "ui.page", ...(await api.around(sessionId, id)) });
      } catch (error) {
        notice(error.status === 422 ? "The message that was linked to isn’t here." : error.message);
        return;
      }
    }
    store.dispatch({ type: "ui.reveal", id });
    store.repaint();
    const element = view.reveal(id);
    if (!element) return notice("The message that was linked to was withdrawn, or waits to be asked.");
    element.classList.add("is-marked");
    setTimeout(() => element.classList.remove("is-marked"), MARKED_MS);
  }

  addEventListener("hashchange", jump);

  return {
    actions,
    jump,
    mayResend: (state, message) => mayResend(state, message),
    joins: (messages) => (view = messages),
  };
}
