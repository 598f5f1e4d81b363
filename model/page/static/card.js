// One photo on the page. All text is set as text: a name or a class can hold anything.

const STATES = {
  waiting: "Waiting",
  asking: "Looking …",
  stopped: "Cancelled",
};

// By the `unknown_reason` of an answer.
const WHY_UNKNOWN = {
  confidence: "The model is not sure enough to say.",
  features: "It is unlike all that the model learned from.",
  "confidence and features": "The model is not sure, and it is unlike all that it learned from.",
};

export class Card {
  constructor(photo, { look, again }) {
    this.photo = photo;
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    const file = this.#part(".file bdi");
    file.textContent = photo.name;
    file.parentElement.title = photo.name;
    this.#part(".look").addEventListener("click", () => look(photo));
    this.#part(".again").addEventListener("click", () => again(photo));
    this.update();
  }

  update() {
    const { state, answer, error } = this.photo;
    this.element.dataset.state = answer?.unknown ? "unknown" : state;
    this.element.toggleAttribute("data-again", state === "failed" && error.againMayHelp);
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
    const sure = percent(answer.probabilities[0]);
    this.#part(".best bdi").textContent = answer.unknown ? "Unknown" : label;
    this.#part(".words").textContent = answer.unknown ? whyUnknown(answer) : `${sure} sure`;
    this.#part(".look").setAttribute("aria-label", `Where it looked: ${this.photo.name}`);
    this.#part(".bars").replaceChildren(...answer.labels.map((name, rank) => bar(name, answer.probabilities[rank])));
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }
}

// An answer in a few words, for those who listen.
export function inWords({ name, answer, error }) {
  if (error) return `${name}: error. ${error.message}`;
  if (answer.unknown) return `${name}: unknown. ${whyUnknown(answer)}`;
  return `${name}: ${answer.labels[0]}, ${percent(answer.probabilities[0])}.`;
}

export function percent(share) {
  return share > 0 && share < 0.0005 ? "<0.1 %" : `${(100 * share).toFixed(1)} %`;
}

function whyUnknown(answer) {
  const closest = `Closest: ${isolated(answer.labels[0])}, ${percent(answer.probabilities[0])}.`;
  return `${WHY_UNKNOWN[answer.unknown_reason] ?? WHY_UNKNOWN.confidence} ${closest}`;
}

function bar(label, share) {
  const item = document.getElementById("bar").content.firstElementChild.cloneNode(true);
  item.querySelector(".label").textContent = label;
  item.querySelector(".share").textContent = percent(share);
  item.querySelector(".meter span").style.setProperty("--share", `${100 * share}%`);
  return item;
}

// So that a name written from right to left leaves the rest of the sentence in its order.
function isolated(text) {
  return `\u2068${text}\u2069`;
}
