// The card of a photo. Texts are set as text, never as HTML: names and classes may contain any characters.

import { bars, percent } from "./bars.js";
import { isolated, printable } from "./shown.js";

const STATES = {
  waiting: "Waiting",
  running: "Classifying …",
  cancelled: "Cancelled",
};

const UNKNOWN = "The photo does not resemble any training photo of the model.";
const UNCERTAIN = "The confidence of the model is low.";

export class Card {
  constructor(photo, { showHeat, retry }) {
    this.photo = photo;
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    const file = this.#part(".file bdi");
    file.textContent = printable(photo.name);
    file.parentElement.title = printable(photo.name);
    this.#part(".show-heat").addEventListener("click", () => showHeat(photo));
    this.#part(".retry").addEventListener("click", () => retry(photo));
    this.update();
  }

  update() {
    const { state, answer, error } = this.photo;
    this.element.dataset.state = mark(answer) || state;
    this.element.toggleAttribute("data-retry", state === "failed" && error.retryable);
    if (answer) this.#showAnswer(answer);
    else this.#part(".state").textContent = error ? error.message : STATES[state];
  }

  showThumbnail(url) {
    const image = this.#part(".photo img");
    image.src = url;
    image.hidden = false;
    this.#part(".no-preview").hidden = true;
  }

  #showAnswer(answer) {
    const [label] = answer.labels;
    const confidence = percent(answer.probabilities[0]);
    const titles = { unknown: "Unknown", uncertain: between(answer) };
    this.#part(".best bdi").textContent = titles[mark(answer)] ?? printable(label);
    const summary = mark(answer) ? explain(answer) : `Confidence ${confidence}`;
    this.#part(".summary").textContent = answer.warning ? `${summary} Warning: ${printable(answer.warning)}.` : summary;
    this.#part(".show-heat").setAttribute("aria-label", `Heat map of ${printable(this.photo.name)}`);
    this.#part(".bars").replaceChildren(...bars(answer));
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }
}

// A prediction in a sentence, for screen readers.
export function describe({ name: exactName, answer, error }) {
  const name = printable(exactName);
  if (error) return `${name}: error. ${error.message}`;
  const warning = answer.warning ? ` Warning: ${printable(answer.warning)}.` : "";
  if (answer.unknown) return `${name}: unknown. ${explain(answer)}${warning}`;
  if (answer.uncertain) return `${name}: uncertain, ${between(answer)}. ${explain(answer)}${warning}`;
  return `${name}: ${printable(answer.labels[0])}, ${percent(answer.probabilities[0])}.${warning}`;
}

// The mark of a prediction: "unknown", "uncertain" or "".
export function mark(answer) {
  if (answer?.unknown) return "unknown";
  return answer?.uncertain ? "uncertain" : "";
}

function explain(answer) {
  const probability = percent(answer.probabilities[0]);
  if (answer.uncertain) return `${UNCERTAIN} ${isolated(answer.labels[0])}: ${probability}.`;
  return `${UNKNOWN} Closest: ${isolated(answer.labels[0])}, ${probability}.`;
}

// The two most probable classes: "cat or dog".
function between({ labels, second }) {
  return second ? `${isolated(labels[0])} or ${isolated(second)}` : printable(labels[0]);
}
