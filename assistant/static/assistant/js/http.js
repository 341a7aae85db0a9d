// @ts-check
/** How the API is called over HTTP: with JSON, or with a file. What is refused is thrown as a Refusal. */

import { apiAddress, signInAddress } from "./addresses.js";

/** @import { Attachment, Calls } from "parley/api" */
/** @import { PageData } from "parley/markup" */

const SECONDS_TO_WAIT = 20;

export class Refusal extends Error {
  /**
   * @param {number} status 0: the server was not reached
   * @param {string} code
   * @param {string} detail a sentence for people
   */
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

/**
 * What was thrown, as a refusal, with a sentence for people.
 * @param {unknown} error
 */
export function refusal(error) {
  if (error instanceof Refusal) return error;
  console.error(error); // a fault of the page's own: it has to be found
  return new Refusal(-1, "page_error", "Something went wrong in this page. It may help to load it again.");
}

const unreachable = () => new Refusal(0, "unreachable", "Parley can’t be reached at the moment.");

/**
 * @param {number} status
 * @param {{ code?: unknown, detail?: unknown } | null} data
 */
function refused(status, data) {
  const detail = typeof data?.detail === "string" ? data.detail : "That didn’t work. Please try again.";
  return new Refusal(status, typeof data?.code === "string" ? data.code : "error", detail);
}

function csrfToken() {
  const { csrfCookie, csrfToken } = /** @type {PageData} */ (document.body.dataset);
  const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${csrfCookie}=`));
  return found ? decodeURIComponent(found.slice(csrfCookie.length + 1)) : csrfToken;
}

/**
 * The address of a call: its path, with the ids in it.
 * @param {string} path
 * @param {readonly (string | number)[]} ids
 */
export function address(path, ids) {
  const rest = [...ids];
  return apiAddress(path.replace(/{\w+}/g, () => encodeURIComponent(/** @type {string | number} */ (rest.shift()))));
}

/**
 * One call of the API.
 * @template {keyof Calls} C
 * @param {C} name its method and path, as the API's own page has them
 * @param {Calls[C]["ids"]} ids that stand in the path
 * @param {Calls[C]["given"]} [given] with GET the query, in which null is left out; else the body
 * @param {RequestInit} [options]
 * @returns {Promise<Calls[C]["answer"]>} {} where there is nothing to answer
 */
export async function call(name, ids, given, options = {}) {
  const [method, path] = /** @type {[string, string]} */ (name.split(" "));
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  let url = address(path, ids);
  let body;
  if (method !== "GET") {
    headers["X-CSRFToken"] = csrfToken();
    if (given) {
      headers["Content-Type"] = "application/json";
      body = JSON.stringify(given);
    }
  } else if (given) url += "?" + new URLSearchParams(Object.entries(given).filter(([, value]) => value !== null));
  let response;
  try {
    response = await fetch(url, {
      method,
      headers,
      body,
      credentials: "same-origin",
      signal: AbortSignal.timeout?.(SECONDS_TO_WAIT * 1000),
      ...options,
    });
  } catch {
    throw unreachable();
  }
  const data = response.status === 204 ? {} : await response.json().catch(() => null);
  if (response.ok && data) return data;
  // A page on which something may stand that was not sent yet says it itself.
  const isSignedOut = response.status === 401 && dispatchEvent(new Event("signedout", { cancelable: true }));
  if (isSignedOut) location.assign(signInAddress());
  throw refused(response.status, data);
}

/**
 * Uploads a file. (fetch tells nothing of how far it has come; XMLHttpRequest does.)
 * @param {string | null} id of the session; null: for one that does not exist yet
 * @param {File} file
 * @param {{ onProgress: (done: number) => void, signal: AbortSignal }} options `done`: 0 to 1
 * @returns {Promise<Attachment>}
 */
export function upload(id, file, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", id ? address("sessions/{session_id}/attachments", [id]) : address("attachments", []));
    request.responseType = "json";
    request.setRequestHeader("X-CSRFToken", csrfToken());
    request.upload.addEventListener("progress", ({ loaded, total }) => total && onProgress(loaded / total));
    request.addEventListener("load", () => {
      const data = request.response;
      if (request.status === 201 && data) resolve(data);
      else reject(refused(request.status, data));
    });
    request.addEventListener("error", () => reject(unreachable()));
    request.addEventListener("abort", () => reject(new Refusal(0, "aborted", "Removed.")));
    signal.addEventListener("abort", () => request.abort());
    const form = new FormData();
    form.append("file", file, file.name || "pasted");
    request.send(form);
  });
}
