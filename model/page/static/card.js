// The card of a photo. Texts are set as text, never as HTML: names and classes may contain any characters.

const STATES = {
  waiting: "Waiting",
  running: "Classifying …",
  cancelled: "Cancelled",
};

// Explanations of the `unknown_reason` of a prediction.
const REASONS = {
  confidence: "The confidence of the model is too low.",
  features: "The photo does not resemble any training photo of the model.",
  "confidence and features": "The confidence of the model is too low, and the photo does not resemble its training photos.",
};

export class Card {
  constructor(photo, { showHeat, retry }) {
    this.photo = photo;
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    const file = this.#part(".file bdi");
    file.textContent = photo.name;
    file.parentElement.title = photo.name;
    this.#part(".show-heat").addEventListener("click", () => showHeat(photo));
    this.#part(".retry").addEventListener("click", () => retry(photo));
    this.update();
  }

  update() {
    const { state, answer, error } = this.photo;
    this.element.dataset.state = answer?.unknown ? "unknown" : state;
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
    this.#part(".best bdi").textContent = answer.unknown ? "Unknown" : label;
    const summary = answer.unknown ? explain(answer) : `Confidence ${confidence}`;
    this.#part(".summary").textContent = answer.warning ? `${summary} Warning: ${answer.warning}.` : summary;
    this.#part(".show-heat").setAttribute("aria-label", `Heat map of ${this.photo.name}`);
    this.#part(".bars").replaceChildren(...answer.labels.map((name, rank) => bar(name, answer.probabilities[rank])));
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }
}

// A prediction in a sentence, for screen readers.
export function describe({ name, answer, error }) {
  if (error) return `${name}: error. ${error.message}`;
  const warning = answer.warning ? ` Warning: ${answer.warning}.` : "";
  if (answer.unknown) return `${name}: unknown. ${explain(answer)}${warning}`;
  return `${name}: ${answer.labels[0]}, ${percent(answer.probabilities[0])}.${warning}`;
}

export function percent(fraction) {
  return fraction > 0 && fraction < 0.0005 ? "<0.1 %" : `${(100 * fraction).toFixed(1)} %`;
}

function explain(answer) {
  const closest = `Closest: ${isolated(answer.labels[0])}, ${percent(answer.probabilities[0])}.`;
  return `${REASONS[answer.unknown_reason] ?? REASONS.confidence} ${closest}`;
}

function bar(label, probability) {
  const item = document.getElementById("bar").content.firstElementChild.cloneNode(true);
  item.querySelector(".label").textContent = label;
  item.querySelector(".probability").textContent = percent(probability);
  item.querySelector(".meter span").style.setProperty("--fraction", `${100 * probability}%`);
  return item;
}

// Isolates a name written from right to left, so that it does not reorder the rest of the sentence.
function isolated(text) {
  return `\u2068${text}\u2069`;
}
