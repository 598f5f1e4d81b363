// Requests to the studio's own server. Errors have a message for the user.

import { userHeader } from "./user.js";

/** An answer that is an error; `status` is 0 if the server does not answer. `code` and `values` are for translations. */
export class RequestError extends Error {
  constructor(message, status, code = "", values = {}) {
    super(message);
    Object.assign(this, { status, code, values });
  }
}

/** Called when the server requires a session; set by the application. */
export const session = { required: () => {} };

/**
 * Sends a request and returns the JSON of the answer, or the answer itself with `raw`.
 * @param {string} path - such as "/api/state".
 * @param {object} [options] - method, body (an object as JSON; a Blob or FormData as it is), signal, headers, raw.
 */
export async function send(path, { method = "GET", body, signal, headers = {}, raw = false } = {}) {
  const named = { ...userHeader(), ...headers };
  const isJson = body !== undefined && !(body instanceof Blob) && !(body instanceof FormData) && !(body instanceof ArrayBuffer);
  let answer;
  try {
    answer = await fetch(path, {
      method,
      signal,
      credentials: "same-origin",
      headers: isJson ? { "Content-Type": "application/json", ...named } : named,
      body: isJson ? JSON.stringify(body) : body,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestError("", 0);
  }
  if (answer.status === 401 && path !== "/api/session") session.required();
  if (!answer.ok) throw await errorOf(answer);
  return raw ? answer : answer.json();
}

export const request = {
  get: (path, options) => send(path, options),
  post: (path, body = {}, options) => send(path, { ...options, method: "POST", body }),
  put: (path, body = {}, options) => send(path, { ...options, method: "PUT", body }),
  delete: (path, options) => send(path, { ...options, method: "DELETE" }),
  raw: (path, options) => send(path, { ...options, raw: true }),
};

async function errorOf(answer) {
  const { message = answer.status, code, values } = await answer.json().catch(() => ({}));
  return new RequestError(String(message), answer.status, code, values);
}
