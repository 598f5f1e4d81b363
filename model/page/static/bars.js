// The probabilities of a prediction as bars.

import { printable } from "./shown.js";

// A list item for each class of an answer, the most probable one first.
export function bars({ labels, probabilities }) {
  return labels.map((label, rank) => bar(label, probabilities[rank]));
}

/** A percentage with one digit, in the language of the page. */
export function percent(fraction) {
  const digits = new Intl.NumberFormat(globalThis.document?.documentElement.lang || "en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return fraction > 0 && fraction < 0.0005 ? `<${digits.format(0.1)} %` : `${digits.format(100 * fraction)} %`;
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
