// @ts-check
/** The page before a session exists: the first message makes it. */

import { api } from "./api.js";
import { showComposer } from "./composer.js";
import { draftsIn, newClientId } from "./drafts.js";
import { refusal } from "./http.js";
import { loadModels, showModel } from "./models.js";
import { notice } from "./notices.js";
import { showShell } from "./shell.js";
import { showSidebar } from "./sidebar.js";
import { storage } from "./storage.js";

/** @import { PageData } from "parley/markup" */

const { sessionUrl, maxLength, noSession } = /** @type {PageData} */ (document.body.dataset);
const urlOf = (/** @type {string} */ id) => sessionUrl.replace(noSession, id);
const drafts = draftsIn(storage, "new");
/** @type {string | null} */
let model = null;
let isStarting = false;

const composer = showComposer({
  drafts,
  maxLength: Number(maxLength),
  clears: false, // until there is a session that holds it
  async send(content, attachments) {
    if (isStarting) return;
    isStarting = true;
    try {
      const session = await api.createSession(model ? { model } : {});
      const entry = { client_id: newClientId(), content, attachments, created_at: Date.now() };
      const kept = draftsIn(storage, session.id);
      kept.sending(entry); // should the next step fail, the session's page tries again
      drafts.keep("");
      drafts.keepFiles([]);
      await api.send(session.id, entry).then(
        () => kept.done(entry.client_id),
        () => {},
      );
      location.assign(urlOf(session.id));
    } catch (error) {
      notice(refusal(error).message);
      isStarting = false;
    }
  },
});

showShell({ focusComposer: composer.focus });
showSidebar({ current: null, sessionUrl: urlOf });
const drawModel = showModel({
  chosen: () => model,
  mayChoose: () => true,
  onChoose: async (id) => {
    model = id;
  },
});
loadModels().then(drawModel);
if (matchMedia("(pointer: fine)").matches) composer.focus();
