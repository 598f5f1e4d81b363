// The probabilities of a prediction as bars.

import { printable } from "./shown.js";

// A list item for each class of an answer, the most probable one first.
export function bars({ labels, probabilities }) {
  return labels.map((label, rank) => bar(label, probabilities[rank]));
}

export function percent(fraction) {
  return fraction > 0 && fraction < 0.0005 ? "<0.1 %" : `${(100 * fraction).toFixed(1)} %`;
}

function bar(label, probability) {
  const name = element("bdi", "label", printable(label));
  const meter = element("span", "meter");
  const filled = element("span", "");
  filled.style.setProperty("--fraction", `${100 * probability}%`);
  meter.append(filled);
  const item = document.createElement("li");
  item.append(name, element("span", "probability", percent(probability)), meter);
  return item;
}

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}
