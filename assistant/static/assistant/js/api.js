// @ts-check
/** The HTTP API, as the pages use it. Every call answers with the parsed JSON or throws a Refusal. */

import { address, call, upload } from "./http.js";

/** @import { NewInvitation, NewSession, SessionChanges } from "parley/api" */
/** @import { UserId } from "parley/frames" */
/** @import { Sending } from "./state/reducer.js" */

const PAGE = 50;

export const api = {
  // --- sessions ---
  /** @param {{ archived?: boolean, before?: string | null }} which those below the session `before` */
  sessions: ({ archived = false, before = null }) => call("GET sessions", [], { archived, before, limit: PAGE }),
  /** @param {NewSession} fields */
  createSession: (fields) => call("POST sessions", [], fields),
  /**
   * @param {string} id
   * @param {SessionChanges} fields
   */
  changeSession: (id, fields) => call("PATCH sessions/{session_id}", [id], fields),
  /** @param {string} id */
  deleteSession: (id) => call("DELETE sessions/{session_id}", [id]),
  /**
   * @param {string} id
   * @param {number} said how far it was read
   */
  markRead: (id, said) => call("POST sessions/{session_id}/read", [id], { said }, { keepalive: true }), // outlives the page
  /** @param {string} id */
  archive: (id) => call("POST sessions/{session_id}/archive", [id]),
  /** @param {string} id */
  unarchive: (id) => call("POST sessions/{session_id}/unarchive", [id]),
  /** @param {string} id */
  resume: (id) => call("POST sessions/{session_id}/resume", [id]),
  /** @param {string} id */
  usage: (id) => call("GET sessions/{session_id}/usage", [id]),
  /**
   * @param {string} id
   * @param {"md" | "json"} format
   */
  exportUrl: (id, format) => address("sessions/{session_id}/export", [id]) + `?format=${format}`,
  /**
   * @param {string} query
   * @param {string | null} before the id of the oldest message that was found so far
   */
  search: (query, before) => call("GET search", [], { q: query, limit: 20, before }),
  models: () => call("GET models", []),
  tools: () => call("GET tools", []),

  // --- people ---
  /**
   * @param {string} id
   * @param {UserId} user
   * @param {"editor" | "viewer"} role
   */
  changeRole: (id, user, role) => call("PATCH sessions/{session_id}/participants/{user_id}", [id, user], { role }),
  /**
   * @param {string} id
   * @param {UserId} user
   */
  removeParticipant: (id, user) => call("DELETE sessions/{session_id}/participants/{user_id}", [id, user]),
  /**
   * @param {string} id
   * @param {UserId} user
   */
  handOver: (id, user) => call("POST sessions/{session_id}/owner", [id], { user }),
  /** @param {string} id */
  leave: (id) => call("POST sessions/{session_id}/leave", [id]),
  /** @param {string} id */
  invitations: (id) => call("GET sessions/{session_id}/invitations", [id]),
  /**
   * @param {string} id
   * @param {NewInvitation} wanted
   */
  invite: (id, wanted) => call("POST sessions/{session_id}/invitations", [id], wanted),
  /**
   * @param {string} id
   * @param {number} invitation
   */
  revoke: (id, invitation) => call("DELETE sessions/{session_id}/invitations/{invitation_id}", [id, invitation]),
  /** @param {string} id */
  shared: (id) => call("GET sessions/{session_id}/share", [id]),
  /** @param {string} id */
  share: (id) => call("POST sessions/{session_id}/share", [id]),
  /** @param {string} id */
  unshare: (id) => call("DELETE sessions/{session_id}/share", [id]),

  // --- files ---
  upload,
  /** @param {string} id */
  attachment: (id) => call("GET attachments/{attachment_id}", [id]),
  /** @param {string} id */
  takeBack: (id) => call("DELETE attachments/{attachment_id}", [id]),
  /** @param {string} id */
  resources: (id) => call("GET sessions/{session_id}/resources", [id]),
  /**
   * @param {string} id
   * @param {string} server
   * @param {string} uri
   */
  attachResource: (id, server, uri) => call("POST sessions/{session_id}/resources", [id], { server, uri }),

  // --- messages ---
  /**
   * @param {string} id
   * @param {string} message
   */
  around: (id, message) => call("GET sessions/{session_id}/messages", [id], { around: message, limit: PAGE }),
  /**
   * @param {string} id
   * @param {string} message
   */
  after: (id, message) => call("GET sessions/{session_id}/messages", [id], { after: message, limit: PAGE }),
  /**
   * @param {string} id
   * @param {string} before a message
   */
  older: (id, before) => call("GET sessions/{session_id}/messages", [id], { before, limit: PAGE }),
  /**
   * @param {string} token
   * @param {string} before a message
   */
  olderShared: (token, before) => call("GET shared/{token}/messages", [token], { before, limit: PAGE }),
  /**
   * @param {string} id
   * @param {Omit<Sending, "created_at">} sending
   */
  send: (id, { client_id, content, when, attachments = [] }) => {
    const files = attachments.map((file) => file.id);
    return call("POST sessions/{session_id}/messages", [id], { client_id, content, when: when ?? undefined, attachments: files });
  },
  /** @param {string} messageId */
  cancel: (messageId) => call("POST messages/{message_id}/cancel", [messageId]),
  /** @param {string} messageId */
  retry: (messageId) => call("POST messages/{message_id}/retry", [messageId]),
  /** @param {string} messageId */
  askedWith: (messageId) => call("GET messages/{message_id}/settings", [messageId]),
  /** @param {string} messageId */
  fork: (messageId) => call("POST messages/{message_id}/fork", [messageId]),
  /**
   * @param {string} messageId
   * @param {{ client_id: string, content: string }} question
   */
  resend: (messageId, question) => call("POST messages/{message_id}/resend", [messageId], question),
  /**
   * @param {string} messageId
   * @param {string} content
   */
  edit: (messageId, content) => call("PATCH messages/{message_id}", [messageId], { content }),
  /**
   * @param {string} messageId
   * @param {string | null} before another waiting message; null: to the end
   */
  move: (messageId, before) => call("POST messages/{message_id}/move", [messageId], { before }),
  /** @param {string} messageId */
  sendNow: (messageId) => call("POST messages/{message_id}/send-now", [messageId]),
  /** @param {string} messageId */
  withdraw: (messageId) => call("DELETE messages/{message_id}", [messageId]),

  // --- tools ---
  /**
   * @param {string} callId
   * @param {"approve" | "deny"} decision
   * @param {{ arguments: string } | { reason: string }} [said] other arguments to allow it with, or why it is denied
   */
  decide: (callId, decision, said) => call(`POST tool-calls/{call_id}/${decision}`, [callId], said),
  /**
   * @param {string} callId
   * @param {number} number of the form that was shown
   * @param {"accept" | "decline" | "cancel"} action
   * @param {Record<string, unknown>} [content] by the fields' names
   */
  fillForm: (callId, number, action, content = {}) => call("POST tool-calls/{call_id}/form", [callId], { number, action, content }),
};
