// The page: what is on it, and what happens when.

import { Card, inWords } from "./card.js";
import { photosOfDrop, photosOfInput } from "./files.js";
import { showHeat } from "./heat.js";
import { Queue } from "./queue.js";
import { classify, fetchModels, heatMap, ServiceError } from "./service.js";
import { answersTable } from "./table.js";
import { thumbnail } from "./thumbnail.js";

const AT_ONCE = 3;
const LATEST = "latest";
const SECONDS_BETWEEN_LOOKS = { there: 15, away: 3 };
// A service that answers, but not this: it is asked less and less often, up to so many times more seldom.
const MOST_SELDOM = 16;
const SECONDS_BETWEEN_WORDS = 1.5;
const WORDS_AT_ONCE = 3;
const MEASURED_BY = { test: "on test photos", cross_validation: "by cross-validation", val: "on validation photos" };
const NOTHING_TRAINED = "No model is trained yet. Train one: topgraft train --dataset FOLDER. This page waits for it.";

const part = (id) => document.getElementById(id);
const cards = new Map();
const unsaid = [];
const models = { listed: "", maxBytes: Infinity };
// All answers on the page are of one model: that which answered first, where the latest is asked for.
let answering = null;
let holdUps = 0;

const queue = new Queue({
  ask,
  atOnce: () => (answering === null ? 1 : AT_ONCE),
  changed: (photo) => (photo ? changed(photo) : redraw()),
  heldUp,
});

async function ask(photo, signal) {
  if (photo.file.size > models.maxBytes) {
    const [size, most] = [photo.file.size, models.maxBytes].map((bytes) => Math.ceil(bytes / 2 ** 20));
    throw new ServiceError(`The file is too large: ${size} MB, at most ${most} MB are accepted.`, { status: 413 });
  }
  const answer = await classify(photo, answering ?? part("model").value, part("top-k").value, signal);
  holdUps = 0;
  if (!signal.aborted) answering = answer.model;
  return answer;
}

// ---- adding photos

function add(photos) {
  if (!photos.length) return notice("There are no photos in it.");
  const added = photos.map(({ file, name }) => ({ file, name, state: "waiting" }));
  for (const photo of added) {
    const card = new Card(photo, { look, again: (one) => queue.again([one]) });
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

async function lookAtService() {
  let found;
  try {
    found = await fetchModels();
  } catch (error) {
    showService(error.status === 502 ? "service not found" : "no answer", "no");
    // When it answers again it has been started anew, and what it failed at before tells nothing of it.
    holdUps = 0;
    queue.hold();
    notice(error.message);
    return;
  }
  models.maxBytes = found.maxBytes || Infinity;
  showService(found.address, "yes");
  listModels(found);
  if (!found.latest) {
    queue.hold();
    notice(found.problem || NOTHING_TRAINED);
  } else if (!waitsForAPerson()) {
    notice("");
    queue.goOn();
  }
}

async function keepLooking() {
  let looked = -Infinity;
  for (;;) {
    const due = performance.now() - looked >= 1000 * secondsToNextLook();
    if (due) await lookAtService();
    if (due) looked = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 1000 * SECONDS_BETWEEN_LOOKS.away));
  }
}

function secondsToNextLook() {
  if (!queue.held) return SECONDS_BETWEEN_LOOKS.there;
  return holdUps < 2 ? 0 : SECONDS_BETWEEN_LOOKS.away * Math.min(2 ** (holdUps - 1), MOST_SELDOM);
}

function listModels({ models: listed, latest }) {
  const known = JSON.stringify([listed, latest]);
  if (known === models.listed) return;
  models.listed = known;
  const select = part("model");
  const chosen = select.disabled ? LATEST : select.value;
  const options = [new Option(latest ? `Latest: ${latest}` : "None yet", LATEST)];
  options.push(...listed.map((model) => modelOption(model)));
  if (!options.some((option) => option.value === chosen)) options.push(gone(chosen));
  select.replaceChildren(...options);
  select.value = chosen;
  select.disabled = !latest;
}

function modelOption({ name, classes, accuracy, measured_by, problem }) {
  const facts = [`${classes} classes`];
  if (typeof accuracy === "number") facts.push(`accuracy ${(100 * accuracy).toFixed(1)} % ${MEASURED_BY[measured_by] ?? ""}`.trim());
  const option = new Option(problem ? `${name} (damaged)` : `${name} (${facts.join(", ")})`, name);
  option.disabled = Boolean(problem);
  return option;
}

function gone(name) {
  const option = new Option(`${name} (no longer there)`, name);
  option.disabled = true;
  return option;
}

function heldUp(error) {
  if (error.passes) {
    holdUps += 1;
    notice(error.message);
    if (error.status !== 503) showService("service not found", "no");
    return;
  }
  // A model that is gone or damaged comes back only if somebody sees to it.
  if (answering !== null) showChosen(answering);
  notice(`${error.message} Choose another model, or`, "Start again");
  lookAtService();
}

// The one that answers, where it has to be chosen against: choosing the latest is then a change.
function showChosen(name) {
  const select = part("model");
  if (![...select.options].some((option) => option.value === name)) select.append(gone(name));
  select.value = name;
}

function askAgain() {
  answering = null;
  holdUps = 0;
  if (!part("settings").reportValidity()) return;
  notice("");
  queue.again();
  lookAtService();
}

function startAgain() {
  holdUps = 0;
  notice("");
  queue.again(queue.photos.filter(({ answer, error }) => !answer && (error?.againMayHelp ?? true)));
  lookAtService();
}

part("settings").addEventListener("change", askAgain);
part("settings").addEventListener("submit", (event) => event.preventDefault());
part("notice-action").addEventListener("click", startAgain);

// ---- what is shown

function showService(text, there) {
  part("service").textContent = text;
  part("service").dataset.there = there;
}

function showResults(there) {
  part("results").hidden = !there;
  document.body.classList.toggle("answering", there);
}

function notice(text, action = "") {
  part("notice").hidden = !text;
  // Set only when it changes: it is read aloud.
  if (part("notice-text").textContent !== text) part("notice-text").textContent = text;
  part("notice-action").hidden = !action;
  part("notice-action").textContent = action;
}

function waitsForAPerson() {
  return !part("notice").hidden && !part("notice-action").hidden;
}

function changed(photo) {
  cards.get(photo)?.update();
  if (photo.state === "answered" || photo.state === "failed") unsaid.push(photo);
  showCounts();
}

function redraw() {
  for (const card of cards.values()) card.update();
  showCounts();
}

function counts() {
  const unknown = queue.photos.filter((photo) => photo.answer?.unknown).length;
  const [answered, failed] = [queue.count("answered"), queue.count("failed")];
  return { total: queue.photos.length, answered, failed, unknown };
}

function showCounts() {
  const { total, answered, failed, unknown } = counts();
  const over = answered + failed;
  part("counts").textContent = `${over} of ${total}${answering ? ` by ${answering}` : ""}`;
  part("progress").max = Math.max(total, 1);
  part("progress").value = over;
  part("progress").hidden = !queue.busy;
  part("cancel").hidden = !queue.busy;
  part("go-on").hidden = queue.busy || !queue.count("stopped");
  part("csv").disabled = !over;
  part("show-all").textContent = `All ${total}`;
  part("show-unknown").textContent = `Unknown ${unknown}`;
  part("show-failed").textContent = `Errors ${failed}`;
}

for (const button of document.querySelectorAll("#filters button")) {
  button.addEventListener("click", () => {
    for (const other of button.parentElement.children) other.setAttribute("aria-pressed", other === button);
    part("cards").dataset.filter = button.dataset.filter;
  });
}

// ---- for those who listen

function say(text) {
  part("live").textContent = text;
}

function summary() {
  const { total, answered, unknown, failed } = counts();
  return `${answered + failed} of ${total} photos are done: ${unknown} unknown, ${failed} errors.`;
}

setInterval(() => {
  // Some may have been asked about again since.
  const some = unsaid.splice(0).filter((photo) => photo.answer || photo.error);
  if (!some.length) return;
  if (queue.busy ? some.length <= WORDS_AT_ONCE : queue.photos.length <= WORDS_AT_ONCE) say(some.map(inWords).join(" "));
  else say(summary());
}, 1000 * SECONDS_BETWEEN_WORDS);

// ---- actions

function look(photo) {
  showHeat(photo, (signal) => heatMap(photo, photo.answer.model, part("top-k").value, signal));
}

part("cancel").addEventListener("click", () => {
  queue.stop();
  part("go-on").focus();
  say("Cancelled.");
});
part("go-on").addEventListener("click", () => {
  queue.again(queue.photos.filter((photo) => photo.state === "stopped"));
  part("cancel").focus();
});
part("clear").addEventListener("click", () => {
  for (const photo of queue.photos) if (photo.thumbnail) URL.revokeObjectURL(photo.thumbnail);
  answering = null;
  holdUps = 0;
  cards.clear();
  unsaid.length = 0;
  queue.clear();
  part("cards").replaceChildren();
  showResults(false);
  lookAtService();
  part("choose-photos").focus();
});
part("csv").addEventListener("click", () => {
  // Spreadsheets take a table for UTF-8 only where it says so at its start.
  const url = URL.createObjectURL(new Blob(["\ufeff", answersTable(queue.photos)], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `topgraft-${answering ?? "answers"}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
});

keepLooking();
