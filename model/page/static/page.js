// The page: its elements and events.

import { Card, describe, mark } from "./card.js";
import { photosOfDrop, photosOfInput } from "./files.js";
import { showHeat } from "./heat.js";
import { photosMeasured, showLeaderboard } from "./leaderboard.js";
import { Queue } from "./queue.js";
import { classify, fetchModels, heatMap, ServiceError } from "./service.js";
import { counted, printable } from "./shown.js";
import { predictionsTable } from "./table.js";
import { thumbnail } from "./thumbnail.js";

const MAX_RUNNING = 3;
const LATEST = "latest";
const SECONDS_BETWEEN_CHECKS = { reachable: 15, unreachable: 3 };
// While the service responds with errors, the time between checks doubles, up to this factor.
const MAX_BACKOFF = 16;
const SECONDS_BETWEEN_ANNOUNCEMENTS = 1.5;
const MAX_ANNOUNCED = 3;
const NOTHING_TRAINED = "No model is trained yet. Train one with: topgraft train --dataset FOLDER. This page waits for it.";

const part = (id) => document.getElementById(id);
const cards = new Map();
const unannounced = [];
const models = { listed: "", maxBytes: Infinity };
// All predictions on the page are from one model: for the latest model, the one that answered first.
let currentModel = null;
let pauseCount = 0;

const queue = new Queue({
  classify: classifyPhoto,
  maxRunning: () => (currentModel === null ? 1 : MAX_RUNNING),
  changed: (photo) => (photo ? changed(photo) : redraw()),
  paused,
});

async function classifyPhoto(photo, signal) {
  if (photo.file.size > models.maxBytes) {
    const [size, limit] = [photo.file.size, models.maxBytes].map((bytes) => Math.ceil(bytes / 2 ** 20));
    throw new ServiceError(`The file is too large: ${size} MB, at most ${limit} MB are accepted.`, { status: 413 });
  }
  const answer = await classify(photo, currentModel ?? part("model").value, part("top-k").value, signal);
  pauseCount = 0;
  if (!signal.aborted) currentModel = answer.model;
  return answer;
}

// ---- adding photos

function add(photos) {
  if (!photos.length) return notice("No photos were found.");
  const added = photos.map(({ file, name }) => ({ file, name, state: "waiting" }));
  for (const photo of added) {
    const card = new Card(photo, { showHeat: showHeatOf, retry: (one) => queue.restart([one]) });
    cards.set(photo, card);
    part("cards").append(card.element);
    thumbnail(photo.file, () => cards.has(photo)).then((url) => keepThumbnail(photo, url));
  }
  showResults(true);
  queue.add(added);
  redraw();
}

function keepThumbnail(photo, url) {
  if (!url) return;
  if (!cards.has(photo)) return URL.revokeObjectURL(url);
  photo.thumbnail = url;
  cards.get(photo).showThumbnail(url);
}

for (const [button, input] of [["choose-photos", "photos"], ["choose-folder", "folder"]]) {
  part(button).addEventListener("click", () => part(input).click());
  part(input).addEventListener("change", () => add(photosOfInput(part(input))));
}
part("choose-folder").hidden = !("webkitdirectory" in part("folder"));

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("over");
});
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  add(await photosOfDrop(event.dataTransfer));
});

// ---- models

async function checkService() {
  let found;
  try {
    found = await fetchModels();
  } catch (error) {
    showService(error.status === 502 ? "service not found" : "no answer", "no");
    // After a restart of the service, earlier errors no longer matter.
    pauseCount = 0;
    queue.pause();
    notice(error.message);
    return;
  }
  models.maxBytes = found.maxBytes || Infinity;
  showService(printable(found.address), "yes");
  listModels(found);
  if (!found.latest) {
    queue.pause();
    notice(printable(found.problem) || NOTHING_TRAINED);
  } else if (!waitsForUser()) {
    notice("");
    queue.resume();
  }
}

async function watchService() {
  let checked = -Infinity;
  for (;;) {
    const due = performance.now() - checked >= 1000 * secondsToNextCheck();
    if (due) await checkService();
    if (due) checked = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 1000 * SECONDS_BETWEEN_CHECKS.unreachable));
  }
}

function secondsToNextCheck() {
  if (!queue.isPaused) return SECONDS_BETWEEN_CHECKS.reachable;
  return pauseCount < 2 ? 0 : SECONDS_BETWEEN_CHECKS.unreachable * Math.min(2 ** (pauseCount - 1), MAX_BACKOFF);
}

function listModels({ models: listed, leaderboard, latest }) {
  const known = JSON.stringify([listed, latest]);
  if (known === models.listed) return;
  models.listed = known;
  const select = part("model");
  const chosen = select.disabled ? LATEST : select.value;
  const options = [new Option(latest ? `Latest: ${printable(latest)}` : "None yet", LATEST)];
  options.push(...listed.map((model) => modelOption(model)));
  if (!options.some((option) => option.value === chosen)) options.push(missingModel(chosen));
  select.replaceChildren(...options);
  select.value = chosen;
  select.disabled = !latest;
  showLeaderboard(part("leaderboard"), leaderboard, listed);
}

function modelOption({ name, classes, problem, ...measured }) {
  const facts = [counted(classes, "class")];
  if (typeof measured.accuracy === "number") facts.push(accuracyText(measured));
  const option = new Option(`${printable(name)} (${problem ? "damaged" : facts.join(", ")})`, name);
  option.disabled = Boolean(problem);
  return option;
}

function accuracyText({ accuracy, accuracy_interval: interval, ...measured }) {
  const limits = interval ? `95 % interval ${interval.map((limit) => (100 * limit).toFixed(0)).join(" to ")}` : "interval unknown";
  return `accuracy ${(100 * accuracy).toFixed(1)} % of ${photosMeasured(measured)}, ${limits}`;
}

function missingModel(name) {
  const option = new Option(`${printable(name)} (deleted)`, name);
  option.disabled = true;
  return option;
}

function paused(error) {
  if (error.temporary) {
    pauseCount += 1;
    notice(error.message);
    if (error.status !== 503) showService("service not found", "no");
    return;
  }
  // A deleted or damaged model requires an action of the user.
  if (currentModel !== null) showCurrent(currentModel);
  notice(`${error.message} Choose another model, or`, "Start again");
  checkService();
}

// Selects the current model, so that choosing the latest one is a change.
function showCurrent(name) {
  const select = part("model");
  if (![...select.options].some((option) => option.value === name)) select.append(missingModel(name));
  select.value = name;
}

function classifyAll() {
  currentModel = null;
  pauseCount = 0;
  if (!part("settings").reportValidity()) return;
  notice("");
  queue.restart();
  checkService();
}

function classifyRest() {
  pauseCount = 0;
  notice("");
  queue.restart(queue.photos.filter(({ answer, error }) => !answer && (error?.retryable ?? true)));
  checkService();
}

part("settings").addEventListener("change", classifyAll);
part("settings").addEventListener("submit", (event) => event.preventDefault());
part("notice-action").addEventListener("click", classifyRest);

// ---- display

function showService(text, reachable) {
  part("service").textContent = text;
  part("service").dataset.reachable = reachable;
}

function showResults(visible) {
  part("results").hidden = !visible;
  document.body.classList.toggle("has-results", visible);
}

function notice(text, action = "") {
  part("notice").hidden = !text;
  // Set only when it changes: screen readers read it aloud.
  if (part("notice-text").textContent !== text) part("notice-text").textContent = text;
  part("notice-action").hidden = !action;
  part("notice-action").textContent = action;
}

function waitsForUser() {
  return !part("notice").hidden && !part("notice-action").hidden;
}

function changed(photo) {
  cards.get(photo)?.update();
  if (photo.state === "answered" || photo.state === "failed") unannounced.push(photo);
  showCounts();
}

function redraw() {
  for (const card of cards.values()) card.update();
  showCounts();
}

function counts() {
  const marked = (name) => queue.photos.filter((photo) => mark(photo.answer) === name).length;
  const [unknown, uncertain] = [marked("unknown"), marked("uncertain")];
  const [answered, failed] = [queue.count("answered"), queue.count("failed")];
  return { total: queue.photos.length, answered, failed, unknown, uncertain };
}

function showCounts() {
  const { total, answered, failed, unknown, uncertain } = counts();
  const done = answered + failed;
  part("counts").textContent = `${done} of ${total}${currentModel ? ` by ${printable(currentModel)}` : ""}`;
  part("progress").max = Math.max(total, 1);
  part("progress").value = done;
  part("progress").hidden = !queue.busy;
  part("cancel").hidden = !queue.busy;
  part("resume").hidden = queue.busy || !queue.count("cancelled");
  part("csv").disabled = !done;
  part("show-all").textContent = `All ${total}`;
  part("show-unknown").textContent = `Unknown ${unknown}`;
  part("show-uncertain").textContent = `Uncertain ${uncertain}`;
  part("show-failed").textContent = `Errors ${failed}`;
}

for (const button of document.querySelectorAll("#filters button")) {
  button.addEventListener("click", () => {
    for (const other of button.parentElement.children) other.setAttribute("aria-pressed", other === button);
    part("cards").dataset.filter = button.dataset.filter;
  });
}

// ---- announcements for screen readers

function announce(text) {
  part("live").textContent = text;
}

function summary() {
  const { total, answered, unknown, uncertain, failed } = counts();
  const done = `Done: ${answered + failed} of ${counted(total, "photo")}`;
  return `${done}, ${unknown} unknown, ${uncertain} uncertain, ${counted(failed, "error")}.`;
}

setInterval(() => {
  // Some may be classified again in the meantime.
  const some = unannounced.splice(0).filter((photo) => photo.answer || photo.error);
  if (!some.length) return;
  if (queue.busy ? some.length <= MAX_ANNOUNCED : queue.photos.length <= MAX_ANNOUNCED) announce(some.map(describe).join(" "));
  else announce(summary());
}, 1000 * SECONDS_BETWEEN_ANNOUNCEMENTS);

// ---- actions

function showHeatOf(photo) {
  showHeat(photo, (signal) => heatMap(photo, photo.answer.model, part("top-k").value, signal));
}

part("cancel").addEventListener("click", () => {
  queue.cancel();
  part("resume").focus();
  announce("Cancelled.");
});
part("resume").addEventListener("click", () => {
  queue.restart(queue.photos.filter((photo) => photo.state === "cancelled"));
  part("cancel").focus();
});
part("clear").addEventListener("click", () => {
  for (const photo of queue.photos) if (photo.thumbnail) URL.revokeObjectURL(photo.thumbnail);
  currentModel = null;
  pauseCount = 0;
  cards.clear();
  unannounced.length = 0;
  queue.clear();
  part("cards").replaceChildren();
  showResults(false);
  checkService();
  part("choose-photos").focus();
});
part("csv").addEventListener("click", () => {
  // Spreadsheets recognize UTF-8 only by a byte order mark.
  const url = URL.createObjectURL(new Blob(["\ufeff", predictionsTable(queue.photos)], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `topgraft-${currentModel ?? "predictions"}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
});

watchService();
