// The trained models of each dataset, the most accurate first, as tables.

import { printable } from "./shown.js";

export const PHOTOS_OF = { test: "test photos", cross_validation: "photos in cross-validation", val: "validation photos" };

const COLUMNS = ["model", "accuracy", "95 % interval", "photos", "training in s", "MB", "ms per photo"];

// Groups of intact models by dataset, in the order of the service: [{dataset, models}].
export function ranked(models) {
  const groups = new Map();
  for (const model of models) {
    if (model.problem) continue;
    // The fingerprint is that of the photos, whatever folder they are in.
    const key = model.dataset_fingerprint ? `of ${model.dataset_fingerprint}` : `in ${model.dataset ?? ""}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(model);
  }
  return [...groups.values()].map((listed) => {
    listed.sort((one, other) => (other.accuracy ?? -1) - (one.accuracy ?? -1));
    const names = new Set(listed.map((model) => model.dataset).filter(Boolean));
    return { dataset: printable([...names].join(", ")) || "unknown dataset", models: listed };
  });
}

// A line for each damaged model.
export function damaged(models) {
  return models.filter((model) => model.problem).map(({ name, problem }) => printable(`damaged: ${name}: ${problem}`));
}

// The cells of a model, in the order of the columns; what is not known is a dash.
export function cellsOf(model) {
  const interval = model.accuracy_interval?.map((limit) => (100 * limit).toFixed(0)).join(" to ");
  const photos = model.images == null ? null : `${model.images} ${PHOTOS_OF[model.measured_by] ?? "photos"}`;
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

export function showLeaderboard(place, models) {
  const groups = ranked(models);
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
