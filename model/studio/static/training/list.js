// The trainings: those that run, wait or were interrupted, those that ended meanwhile, and the newest models.

import { element, replace } from "../elements.js";
import { TrainingCard } from "./card.js";

const KEY = "topgraft followed trainings";
const MAX_MODELS = 5;

/** Cards of trainings, kept up to date. */
export class TrainingList {
  #cards = new Map();

  constructor(context) {
    this.context = context;
    this.cards = element("div.trainings");
    this.models = element("ul.newest-models");
    this.element = element("section", { "aria-label": context.text("training.list") }, this.cards, this.models);
    this.followed = new Set(JSON.parse(sessionStorage.getItem(KEY) ?? "[]"));
  }

  /** Show what becomes of a training, after its end, too. */
  follow(name) {
    this.followed.add(name);
    sessionStorage.setItem(KEY, JSON.stringify([...this.followed]));
  }

  draw({ trainings, models }) {
    const trained = models.filter(({ name }) => this.followed.has(name) && !trainings.some((one) => one.name === name));
    const rows = [...trainings, ...trained.map((model) => ({ name: model.name, state: "done", model }))];
    for (const { name, state } of trainings) if (state === "running" || state === "queued") this.follow(name);
    for (const [name, card] of this.#cards) {
      if (!rows.some((row) => row.name === name)) {
        card.element.remove();
        this.#cards.delete(name);
      }
    }
    rows.forEach((row, index) => this.#drawRow(row, index));
    this.#drawModels(models.filter(({ name }) => !this.followed.has(name)));
  }

  end() {
    for (const card of this.#cards.values()) card.end();
  }

  #drawRow(row, index) {
    if (!this.#cards.has(row.name)) this.#cards.set(row.name, new TrainingCard(row.name, this.context, () => this.#forget(row.name)));
    const card = this.#cards.get(row.name);
    if (this.cards.children[index] !== card.element) this.cards.insertBefore(card.element, this.cards.children[index] ?? null);
    card.draw(row);
  }

  #forget(name) {
    this.followed.delete(name);
    sessionStorage.setItem(KEY, JSON.stringify([...this.followed]));
  }

  #drawModels(models) {
    const { text, number, address } = this.context;
    const shown = models.slice(0, MAX_MODELS).map(({ name, accuracy, latest }) => {
      const right = accuracy === null || accuracy === undefined ? "" : text("training.of_100", { right: number(Math.round(100 * accuracy)) });
      return element("li.row", {}, element("a", { href: address("result", name) }, name), element("span.soft", {}, right), latest && element("span.tag", {}, text("training.in_use")));
    });
    const label = shown.map((row) => row.textContent).join("|");
    if (this.models.dataset.shown === label) return;
    this.models.dataset.shown = label;
    replace(this.models, shown.length > 0 && element("li", {}, element("h2", {}, text("training.models"))), shown);
  }
}
