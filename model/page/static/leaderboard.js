// The trained models of each dataset, the most accurate first, as tables.

import { printable } from "./shown.js";

const PHOTOS_OF = { test: "test photos", cross_validation: "photos in cross-validation", val: "validation photos" };

const COLUMNS = ["model", "accuracy", "95 % interval", "photos", "training in s", "MB", "ms per photo"];

// The leaderboards of the service, with the models in place of their names: [{dataset, models}].
export function ranked(boards, models) {
  const named = new Map(models.map((model) => [model.name, model]));
  return boards.map((board) => ({
    dataset: printable(board.dataset),
    models: board.models.map((name) => named.get(name)),
  }));
}

// A line for each damaged model.
export function damaged(models) {
  return models.filter((model) => model.problem).map(({ name, problem }) => printable(`damaged: ${name}: ${problem}`));
}

// The cells of a model, in the order of the columns; what is not known is a dash.
export function cellsOf(model) {
  const interval = model.accuracy_interval?.map((limit) => (100 * limit).toFixed(0)).join(" to ");
  const photos = model.images == null ? null : photosMeasured(model);
  return [
    printable(model.name),
    number(model.accuracy == null ? null : 100 * model.accuracy, 1, " %"),
    interval ?? "–",
    photos ?? "–",
    number(model.training_seconds, 0),
    number(model.megabytes, 1),
    number(model.milliseconds_per_photo, 1),
  ];
}

// The measured photos in words: "1 test photo", "97 photos in cross-validation".
export function photosMeasured({ images, measured_by: measuredBy }) {
  const photos = PHOTOS_OF[measuredBy] ?? "photos";
  if (images == null) return photos;
  return `${images} ${images === 1 ? photos.replace("photos", "photo") : photos}`;
}

export function showLeaderboard(place, boards, models) {
  const groups = ranked(boards, models);
  const lines = damaged(models);
  place.hidden = groups.length + lines.length === 0;
  place.querySelector(".boards").replaceChildren(...groups.map(table), ...lines.map(paragraph));
}

function table({ dataset, models }) {
  const made = document.createElement("table");
  made.createCaption().textContent = dataset;
  const head = made.createTHead().insertRow();
  for (const name of COLUMNS) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    head.append(cell);
  }
  const body = made.createTBody();
  for (const model of models) {
    const row = body.insertRow();
    for (const text of cellsOf(model)) row.insertCell().textContent = text;
  }
  return made;
}

function paragraph(text) {
  const made = document.createElement("p");
  made.textContent = text;
  return made;
}

function number(value, digits, unit = "") {
  return typeof value === "number" ? `${value.toFixed(digits)}${unit}` : "–";
}
