// The trained models of each dataset, the most accurate first, as tables.

export const PHOTOS_OF = { test: "test photos", cross_validation: "photos in cross-validation", val: "validation photos" };

const COLUMNS = ["model", "accuracy", "95 % interval", "photos", "training in s", "MB", "ms per photo"];

// Groups of models by dataset, in the order of the service: [{dataset, models}]. Damaged models are left out.
export function ranked(models) {
  const groups = new Map();
  for (const model of models) {
    if (model.problem) continue;
    const key = JSON.stringify([model.dataset ?? "", model.dataset_fingerprint ?? ""]);
    if (!groups.has(key)) groups.set(key, { dataset: model.dataset || "unknown dataset", models: [] });
    groups.get(key).models.push(model);
  }
  for (const { models: listed } of groups.values()) listed.sort((one, other) => (other.accuracy ?? -1) - (one.accuracy ?? -1));
  return [...groups.values()];
}

// The cells of a model, in the order of the columns; what is not known is a dash.
export function cellsOf(model) {
  const interval = model.accuracy_interval?.map((limit) => (100 * limit).toFixed(0)).join(" to ");
  const photos = model.images == null ? null : `${model.images} ${PHOTOS_OF[model.measured_by] ?? "photos"}`;
  return [
    model.name,
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
  place.hidden = groups.length === 0;
  place.querySelector(".boards").replaceChildren(...groups.map(table));
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

function number(value, digits, unit = "") {
  return typeof value === "number" ? `${value.toFixed(digits)}${unit}` : "–";
}
