/** The HTTP API. Every call answers with the parsed JSON or throws a Refusal. */

const SECONDS_TO_WAIT = 20;

export class Refusal extends Error {
  /** status 0: the server was not reached. `detail` is a sentence for people. */
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }

  /** True where the very same request may succeed later. */
  get isRetryable() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

function csrfToken() {
  const name = document.body.dataset.csrfCookie;
  const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : document.body.dataset.csrfToken;
}

async function call(method, path, body, options = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(`/api/${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      signal: AbortSignal.timeout?.(SECONDS_TO_WAIT * 1000),
      ...options,
    });
  } catch {
    throw new Refusal(0, "unreachable", "Parley can’t be reached at the moment.");
  }
  const data = response.status === 204 ? {} : await response.json().catch(() => null);
  if (response.ok && data) return data;
  // A page on which something may stand that was not sent yet says it itself.
  const isSignedOut = response.status === 401 && dispatchEvent(new Event("signedout", { cancelable: true }));
  if (isSignedOut) location.assign(`/login/?next=${encodeURIComponent(location.pathname)}`);
  const detail = typeof data?.detail === "string" ? data.detail : "That didn’t work. Please try again.";
  throw new Refusal(response.status, data?.code ?? "error", detail);
}

/** fetch tells nothing of how far an upload has come; XMLHttpRequest does. */
function upload(path, file, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/${path}`);
    request.responseType = "json";
    request.setRequestHeader("X-CSRFToken", csrfToken());
    request.upload.addEventListener("progress", ({ loaded, total }) => total && onProgress(loaded / total));
    request.addEventListener("load", () => {
      const data = request.response;
      if (request.status === 201 && data) return resolve(data);
      return reject(new Refusal(request.status, data?.code ?? "error", data?.detail ?? "That didn’t work. Please try again."));
    });
    request.addEventListener("error", () => reject(new Refusal(0, "unreachable", "Parley can’t be reached at the moment.")));
    request.addEventListener("abort", () => reject(new Refusal(0, "aborted", "Removed.")));
    signal.addEventListener("abort", () => request.abort());
    const form = new FormData();
    form.append("file", file, file.name || "pasted");
    request.send(form);
  });
}

const at = encodeURIComponent;
const beforeThat = (before) => (before ? `&before=${at(before)}` : "");

export const api = {
  sessions: ({ archived = false, before = null }) =>
    call("GET", `sessions?archived=${archived}&limit=50` + beforeThat(before)),
  markRead: (id, said) => call("POST", `sessions/${at(id)}/read`, { said }, { keepalive: true }), // outlives the page
  archive: (id) => call("POST", `sessions/${at(id)}/archive`),
  unarchive: (id) => call("POST", `sessions/${at(id)}/unarchive`),
  exportUrl: (id, format) => `/api/sessions/${at(id)}/export?format=${format}`,
  search: (query, before) => call("GET", `search?q=${at(query)}&limit=20` + beforeThat(before)),
  createSession: (fields) => call("POST", "sessions", fields),
  changeSession: (id, fields) => call("PATCH", `sessions/${at(id)}`, fields),
  deleteSession: (id) => call("DELETE", `sessions/${at(id)}`),
  resume: (id) => call("POST", `sessions/${at(id)}/resume`),
  invite: (id, wanted) => call("POST", `sessions/${at(id)}/invitations`, wanted),
  invitations: (id) => call("GET", `sessions/${at(id)}/invitations`),
  revoke: (id, invitation) => call("DELETE", `sessions/${at(id)}/invitations/${at(invitation)}`),
  changeRole: (id, user, role) => call("PATCH", `sessions/${at(id)}/participants/${at(user)}`, { role }),
  removeParticipant: (id, user) => call("DELETE", `sessions/${at(id)}/participants/${at(user)}`),
  handOver: (id, user) => call("POST", `sessions/${at(id)}/owner`, { user }),
  leave: (id) => call("POST", `sessions/${at(id)}/leave`),
  shared: (id) => call("GET", `sessions/${at(id)}/share`),
  share: (id) => call("POST", `sessions/${at(id)}/share`),
  unshare: (id) => call("DELETE", `sessions/${at(id)}/share`),
  models: () => call("GET", "models"),
  around: (id, message) => call("GET", `sessions/${at(id)}/messages?around=${at(message)}&limit=50`),
  after: (id, message) => call("GET", `sessions/${at(id)}/messages?after=${at(message)}&limit=50`),
  older: (id, before) => call("GET", `sessions/${at(id)}/messages?before=${at(before)}&limit=50`),
  olderShared: (token, before) => call("GET", `shared/${at(token)}/messages?before=${at(before)}&limit=50`),
  send: (id, { client_id, content, when, attachments = [] }) => {
    const files = attachments.map((file) => file.id);
    return call("POST", `sessions/${at(id)}/messages`, { client_id, content, when: when ?? undefined, attachments: files });
  },
  /** `id` null: for a session that does not exist yet. */
  upload: (id, file, options) => upload(id ? `sessions/${at(id)}/attachments` : "attachments", file, options),
  resources: (id) => call("GET", `sessions/${at(id)}/resources`),
  attachResource: (id, server, uri) => call("POST", `sessions/${at(id)}/resources`, { server, uri }),
  attachment: (id) => call("GET", `attachments/${at(id)}`),
  takeBack: (id) => call("DELETE", `attachments/${at(id)}`),
  usage: (id) => call("GET", `sessions/${at(id)}/usage`),
  cancel: (messageId) => call("POST", `messages/${at(messageId)}/cancel`),
  fillForm: (callId, number, action, content = {}) => call("POST", `tool-calls/${at(callId)}/form`, { number, action, content }),
  decide: (callId, decision) => call("POST", `tool-calls/${at(callId)}/${decision}`),
  tools: () => call("GET", "tools"),
  retry: (messageId) => call("POST", `messages/${at(messageId)}/retry`),
  askedWith: (messageId) => call("GET", `messages/${at(messageId)}/settings`),
  fork: (messageId) => call("POST", `messages/${at(messageId)}/fork`),
  resend: (messageId, { client_id, content }) =>
    call("POST", `messages/${at(messageId)}/resend`, { client_id, content }),
  edit: (messageId, content) => call("PATCH", `messages/${at(messageId)}`, { content }),
  move: (messageId, before) => call("POST", `messages/${at(messageId)}/move`, { before }),
  sendNow: (messageId) => call("POST", `messages/${at(messageId)}/send-now`),
  withdraw: (messageId) => call("DELETE", `messages/${at(messageId)}`),
};
