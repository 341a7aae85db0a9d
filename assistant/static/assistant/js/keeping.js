// @ts-check
/** What one does with a single message beside reading it: link to it, fork from it, ask it anew, look how it was asked. */

import { api } from "./api.js";
import { copyText } from "./clipboard.js";
import { newClientId } from "./drafts.js";
import { refusal } from "./http.js";
import { openMenu } from "./menu.js";
import { modelLabel } from "./models.js";
import { notice, orNotice } from "./notices.js";
import { byId, clone, fieldOf, near, one, part, setHidden, setText } from "./parts.js";
import { afterGap, isOpen, mayResend } from "./state/selectors.js";

/** @import { Command } from "./commands.js" */
/** @import { Messages } from "./messages.js" */
/** @import { Shown } from "./message.js" */
/** @import { Held } from "./state/merging.js" */
/** @import { State } from "./state/reducer.js" */
/** @import { Gap } from "./state/thread.js" */
/** @import { Store } from "./store.js" */

/** @typedef {ReturnType<typeof keepMessages>} Keeping */

const LINK = /^#message-([0-9a-f-]{36})$/;
const MARKED_MS = 4_000;
/** @type {Record<string, string>} */
const PARAMETERS = {
  temperature: "Temperature",
  top_p: "Top p",
  max_tokens: "Longest answer, in tokens",
  reasoning_effort: "Reasoning effort",
};

/**
 * For `showMessages`; and `jump` for a page that has its first snapshot. `sessionUrl(id)` is an address.
 * @param {{ store: Store, sessionId: string, sessionUrl: (id: string) => string }} options
 */
export function keepMessages({ store, sessionId, sessionUrl }) {
  const menu = byId("message-menu");
  /** @type {Held | null} */
  let chosen = null; // the message that the menu is about
  /** @type {Pick<Messages, "moved" | "toEnd" | "reveal" | "messageOf">} */
  let view; // of the thread, which is there before anything can be done in it

  /** @type {Record<string, Command>} */
  const commands = {
    more(message, button) {
      chosen = message;
      part(menu, "fork").disabled = isOpen(message);
      setHidden(part(menu, "asked-with"), message.role !== "assistant");
      openMenu(menu, button);
    },
    "edit-asked": (message, _, element) => edit(element, message),
    "keep-asked": (_, __, element) => edit(element, null),
  };

  /** @type {Record<string, (gap: Gap) => unknown>} */
  const gaps = {
    "gap-later": ({ gap }) => fill({ after: gap }, () => api.after(sessionId, gap)),
    "gap-earlier": ({ gap }) => {
      const next = afterGap(store.state, gap);
      return next && fill({ before: next.id }, () => api.older(sessionId, next.id));
    },
  };

  /**
   * An item of the menu.
   * @param {"link" | "fork" | "asked-with"} name
   * @param {(message: Held) => void} action
   */
  function item(name, action) {
    part(menu, name).addEventListener("click", () => {
      menu.hidePopover();
      if (chosen) action(chosen);
    });
  }

  item("link", async ({ id }) => {
    const link = new URL(`${sessionUrl(sessionId)}#message-${id}`, location.href).href;
    notice((await copyText(link)) ? "Link copied. It works for everyone in this session." : "Could not copy the link.");
  });

  item("fork", async ({ id }) => {
    const session = await orNotice(() => api.fork(id));
    if (session) location.assign(sessionUrl(session.id));
  });

  item("asked-with", async ({ id }) => {
    const asked = await orNotice(() => api.askedWith(id));
    if (!asked) return;
    const sheet = byId("asked-sheet");
    const parameters = Object.entries(asked.parameters).map(([name, value]) => `${PARAMETERS[name] ?? name}: ${value}`);
    setText(part(sheet, "model"), modelLabel(asked.model));
    setText(part(sheet, "parameters"), parameters.join("\n") || "The model’s own.");
    setText(part(sheet, "prompt"), asked.system_prompt || "None.");
    sheet.showModal();
  });

  // --- asking anew ---

  /**
   * @param {HTMLElement} element of a message
   * @param {Held | null} message null: it is shown again
   */
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
    const field = fieldOf(form, "content");
    field.value = message.content;
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
    form.scrollIntoView({ block: "nearest" });
    return view.moved();
  }

  /**
   * @param {HTMLElement} element of the message
   * @param {HTMLFormElement} form
   * @param {Held} message
   */
  async function resend(element, form, message) {
    const content = fieldOf(form, "content").value.trim();
    if (!content) return;
    if (content === message.content) return edit(element, null);
    // The same text again under the same id: a second press of the button asks nothing more.
    if (form.dataset.content !== content) Object.assign(form.dataset, { content, clientId: newClientId() });
    const client_id = form.dataset.clientId ?? newClientId();
    const sent = await orNotice(() => api.resend(message.id, { client_id, content }));
    if (!sent) return;
    edit(element, null);
    const old = { ...message, version: message.version + 1, superseded_by: sent.message.id };
    store.dispatch({ type: "ui.anew", messages: [old, sent.message, sent.reply] });
    view.toEnd();
  }

  const list = one(document, "[data-messages]");
  list.addEventListener("submit", (event) => {
    /** @type {HTMLFormElement | null} */
    const form = near(event, ".message-edit");
    const element = near(event, ".message");
    if (!form || !element) return;
    event.preventDefault();
    const message = view.messageOf(element);
    if (message) resend(element, form, message);
  });
  list.addEventListener("keydown", (event) => {
    /** @type {HTMLFormElement | null} */
    const form = near(event, ".message-edit");
    const element = near(event, ".message");
    if (!form || !element) return;
    if (event.key === "Escape") edit(element, null);
    // In the text: on a button Enter does what that is for.
    if (event.key === "Enter" && near(event, "textarea") && !event.shiftKey && !event.isComposing && matchMedia("(pointer: fine)").matches) {
      event.preventDefault();
      form.requestSubmit();
    }
  });

  // --- jumping ---

  /**
   * @param {{ after: string } | { before: string }} joint the message that they join on to
   * @param {() => ReturnType<typeof api.older>} load
   */
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
        const { status, message } = refusal(error);
        notice(status === 422 ? "The message that was linked to isn’t here." : message);
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
    commands,
    gaps,
    jump,
    /**
     * @param {State} state
     * @param {Shown} message
     */
    mayResend: (state, message) => !message.outbox && mayResend(state, message),
    /** @param {typeof view} messages */
    joins: (messages) => (view = messages),
  };
}
