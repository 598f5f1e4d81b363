// The two requests of the page, and what can come of them.

// An answer that is an error; `holdsUp` where the next photo would get the same one, `passes` where that lasts only
// for a while.
export class ServiceError extends Error {
  constructor(message, { status = 0, holdsUp = false, passes = false } = {}) {
    super(message);
    this.status = status;
    this.holdsUp = holdsUp || passes;
    this.passes = passes;
    this.againMayHelp = status < 400 || status >= 500;
  }
}

// What models there are: {address, maxBytes, models, latest, problem}.
export async function fetchModels() {
  const response = await send("api/model", { cache: "no-store" });
  const metadata = await response.json();
  return {
    address: response.headers.get("Topgraft-Service"),
    maxBytes: Number(response.headers.get("Topgraft-Max-Picture-Bytes")),
    models: metadata.models ?? [],
    latest: metadata.latest ?? null,
    problem: metadata.problem ?? "",
  };
}

// What a model says of one photo: {model, labels, probabilities, unknown}.
export async function classify(photo, model, topK, signal) {
  const response = await predict(photo, model, topK, "application/json", signal);
  const answer = await response.json();
  const [prediction, ...others] = answer.predictions;
  if (others.length) throw new ServiceError("This is an archive. Unpack it, and drop its folder.", { status: 415 });
  if (prediction.error) throw new ServiceError(prediction.error, { status: 415 });
  return { ...prediction, model: answer.model };
}

// A PNG picture of what the model looked at.
export async function heatMap(photo, model, topK, signal) {
  const response = await predict(photo, model, topK, "image/png", signal);
  return response.blob();
}

function predict(photo, model, topK, accept, signal) {
  const query = new URLSearchParams({ name: photo.file.name, model, top_k: topK });
  const headers = { Accept: accept, "Content-Type": "application/octet-stream" };
  return send(`api/predict?${query}`, { method: "POST", body: photo.file, headers, signal });
}

async function send(path, request) {
  let response;
  try {
    response = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The server of this page does not answer. Is “topgraft page” still running?", { passes: true });
  }
  if (response.ok) return response;
  // 404: no such model. 503 of the service itself: nothing trained yet, or a damaged model.
  const holdsUp = response.status === 404 || response.status === 503;
  throw new ServiceError(await messageOf(response), { status: response.status, holdsUp, passes: passes(response) });
}

// 502: no service. 503: it says when to ask again, or a proxy on the way to this page speaks in its place.
function passes({ status, headers }) {
  const ofService = (headers.get("Content-Type") ?? "").startsWith("application/json");
  return status === 502 || (status === 503 && (headers.has("Retry-After") || !ofService));
}

async function messageOf(response) {
  const body = await response.json().catch(() => ({}));
  if (typeof body.message === "string") return sentence(body.message);
  // DEEPaaS names the options that it refuses: {"top_k": ["..."]}.
  const refused = Object.entries(body).map(([name, why]) => `${name}: ${[why].flat().join(" ")}`);
  return refused.length ? refused.join("; ") : `The service answered with status ${response.status}.`;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
