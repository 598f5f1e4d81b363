// The predictions as a CSV table, equal to text/csv of the service: the same columns and digits.

import { cellText } from "./cells.js";

export function predictionsTable(photos) {
  const answered = photos.filter((photo) => photo.state === "answered" || photo.state === "failed");
  const ranks = Math.max(1, ...answered.map((photo) => photo.answer?.labels.length ?? 1));
  const header = ["image", "label", "probability", "unknown", "error", "unknown_reason", "uncertain", "second"];
  for (let rank = 2; rank <= ranks; rank += 1) header.push(`label_${rank}`, `probability_${rank}`);
  const lines = [header, ...answered.map((photo) => row(photo, ranks))];
  if (answered.some((photo) => photo.answer?.warning)) {
    header.push("warning");
    answered.forEach((photo, index) => lines[index + 1].push(photo.answer?.warning ?? ""));
  }
  return lines.map((cells) => `${cells.map(quoted).join(",")}\n`).join("");
}

function row({ name, answer, error }, ranks) {
  if (!answer) return [name, "", "", "", error.message, "", "", "", ...Array(2 * (ranks - 1)).fill("")];
  const pairs = answer.labels.map((label, rank) => [label, answer.probabilities[rank].toFixed(6)]);
  while (pairs.length < ranks) pairs.push(["", ""]);
  const [first, ...others] = pairs;
  const marks = [String(answer.unknown), "", answer.unknown_reason ?? "", String(answer.uncertain), answer.second ?? ""];
  return [name, ...first, ...marks, ...others.flat()];
}

function quoted(text) {
  const cell = cellText(text);
  return /[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
