// The two requests of the page, and their errors.

import { printable } from "./shown.js";

// An error response; `pauses`: the next photo would receive the same error; `temporary`: the error passes without any
// action of the user.
export class ServiceError extends Error {
  constructor(message, { status = 0, pauses = false, temporary = false } = {}) {
    super(printable(message));
    this.status = status;
    this.pauses = pauses || temporary;
    this.temporary = temporary;
    this.retryable = status < 400 || status >= 500;
  }
}

// The trained models: {address, maxBytes, models, leaderboard, latest, problem}.
export async function fetchModels() {
  const response = await send("api/model", { cache: "no-store" });
  const metadata = await response.json();
  return {
    address: response.headers.get("Topgraft-Service"),
    maxBytes: Number(response.headers.get("Topgraft-Max-Image-Bytes")),
    models: metadata.models ?? [],
    leaderboard: metadata.leaderboard ?? [],
    latest: metadata.latest ?? null,
    problem: metadata.problem ?? "",
  };
}

// The prediction for a photo: {model, labels, probabilities, unknown, uncertain}.
//
// neighbours: number of similar training photos to list.
export async function classify(photo, model, topK, signal, neighbours = 0) {
  const response = await predict(photo, { model, top_k: topK, neighbours }, "application/json", signal);
  const answer = await response.json();
  const [prediction, ...others] = answer.predictions;
  if (others.length) throw new ServiceError("This is an archive. Unpack it and drop its folder.", { status: 415 });
  if (prediction.error) throw new ServiceError(prediction.error, { status: 415 });
  return { ...prediction, model: answer.model };
}

// A PNG with the heat map of a photo.
export async function heatMap(photo, model, topK, signal) {
  const response = await predict(photo, { model, top_k: topK }, "image/png", signal);
  return response.blob();
}

function predict(photo, options, accept, signal) {
  const query = new URLSearchParams({ name: photo.file.name, ...options });
  const headers = { Accept: accept, "Content-Type": "application/octet-stream" };
  return send(`api/predict?${query}`, { method: "POST", body: photo.file, headers, signal });
}

async function send(path, request) {
  let response;
  try {
    response = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The server of this page does not answer. Is “topgraft page” still running?", { temporary: true });
  }
  if (response.ok) return response;
  // 404: no such model. 503 from the service itself: no trained model, or a damaged one.
  const pauses = response.status === 404 || response.status === 503;
  throw new ServiceError(await messageOf(response), { status: response.status, pauses, temporary: isTemporary(response) });
}

// 502: no service. 503: with Retry-After, or from a proxy in front of this page.
function isTemporary({ status, headers }) {
  const fromService = (headers.get("Content-Type") ?? "").startsWith("application/json");
  return status === 502 || (status === 503 && (headers.has("Retry-After") || !fromService));
}

async function messageOf(response) {
  const body = await response.json().catch(() => ({}));
  if (typeof body.message === "string") return sentence(body.message);
  // DEEPaaS lists refused options: {"top_k": ["..."]}.
  const refused = Object.entries(body).map(([name, reasons]) => `${name}: ${[reasons].flat().join(" ")}`);
  return refused.length ? refused.join("; ") : `The service answered with status ${response.status}.`;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
