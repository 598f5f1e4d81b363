// Suspected label errors: each is corrected or confirmed with one key, and training again is one button.

import { button, element, replace } from "../elements.js";
import { watchLetters } from "../letters.js";
import { messageOf } from "../messages.js";
import { modelPath, problem } from "../models.js";
import { addressOfPhoto } from "../photos.js";
import { renamedNote } from "../renamed.js";
import { trainAgain } from "./again.js";
import { userField } from "../user.js";

/** Draws the review; returns what ends it. */
export function drawLabels(parent, model, context) {
  const { text } = context;
  const heading = element("h2", {}, text("result.labels"));
  replace(parent, heading, element("p.soft", {}, text("result.loading")));
  const review = new Review(parent, heading, model, context);
  review.load();
  return watchLetters(parent, (key) => review.press(key));
}

class Review {
  #done = { corrected: 0, kept: 0 };
  #numbers = [];
  #busy = false;
  #position = 0;

  constructor(parent, heading, model, context) {
    Object.assign(this, { parent, heading, model, context });
    this.issues = [];
  }

  async load() {
    const { request, text } = this.context;
    try {
      const found = await request.get(modelPath(this.model.name, "/label-issues"));
      Object.assign(this, { dataset: found.dataset, classes: found.classes, editable: found.editable });
      this.issues = found.issues.filter(({ state }) => state === "open");
      this.checked = found.issues.length > 0;
      this.draw();
    } catch (error) {
      replace(this.parent, this.heading, problem(messageOf(error)), button(text("app.again"), () => this.load()));
    }
  }

  get current() {
    return this.issues[this.#position];
  }

  draw(message = "") {
    const { text } = this.context;
    const content = this.current ? this.#question() : this.#end();
    replace(this.parent, this.heading, content, message && problem(message), this.#summary(text));
  }

  press(key) {
    const acts = { c: () => this.correct(this.current.suggested), k: () => this.keep(), s: () => this.skip(), u: () => this.undo() };
    if (acts[key] && (this.current || key === "u")) acts[key]();
    return key in acts;
  }

  correct(label) {
    const { photo, suggested } = this.current;
    const body = { dataset: this.dataset, photo, class: label, model: this.model.name, answer: suggested };
    return this.#decide("corrected", "/api/corrections", body, text => text("result.corrected", { name: label }));
  }

  keep() {
    const { photo, given } = this.current;
    return this.#decide("kept", modelPath(this.model.name, "/label-issues/confirmed"), { photo, label: given }, text => text("result.kept", { name: given }));
  }

  skip() {
    this.#position += 1;
    this.draw();
    this.#focus();
  }

  async undo() {
    if (!this.#done.corrected || this.#busy) return;
    await this.#send(async ({ request }) => {
      await request.post(`/api/datasets/${encodeURIComponent(this.dataset)}/undo?number=${this.#numbers.at(-1)}`);
      this.#numbers.pop();
      this.#done.corrected -= 1;
      this.#position = 0;
      const found = await request.get(modelPath(this.model.name, "/label-issues"));
      this.issues = found.issues.filter(({ state }) => state === "open");
    }, (text) => text("result.undone"));
  }

  #decide(kind, path, body, said) {
    return this.#send(async ({ request }) => {
      const { number } = await request.post(path, body);
      if (kind === "corrected") this.#numbers.push(number);
      this.#done[kind] += 1;
      this.issues.splice(this.#position, 1);
    }, said);
  }

  async #send(act, said) {
    if (this.#busy) return;
    this.#busy = true;
    let message = "";
    try {
      await act(this.context);
      this.context.announce(said(this.context.text));
    } catch (error) {
      message = messageOf(error);
    }
    this.#busy = false;
    this.draw(message);
    this.#focus();
  }

  #focus() {
    this.parent.querySelector(".decisions .main, .end .main")?.focus({ preventScroll: true });
  }

  #question() {
    const { text } = this.context;
    const { photo, given, suggested } = this.current;
    const other = element(
      "select",
      { "aria-label": text("result.other_class"), onchange: (event) => event.target.value && this.correct(event.target.value) },
      element("option", { value: "" }, text("result.other_class")),
      this.classes.filter((name) => name !== given && name !== suggested).map((name) => element("option", {}, name)),
    );
    const locked = !this.dataset || !this.editable;
    const decide = (key, label, act, attributes = {}) => button([element("kbd", {}, key), label], act, attributes);
    return element(
      "div.suspicion",
      {},
      element("p.soft", {}, text("result.labels_lead", { count: this.issues.length - this.#position })),
      this.dataset && element("img.suspect", { src: addressOfPhoto(this.dataset, photo), alt: text("result.photo_of", { name: given }) }),
      element("p", {}, text("result.suspicion", { given, suggested })),
      renamedNote(this.model, this.context),
      element("p.soft.path", {}, photo),
      locked && problem(text("result.not_editable")),
      element(
        "div.row.decisions",
        {},
        decide("C", text("result.correct", { name: suggested }), () => this.correct(suggested), { class: "main", disabled: locked }),
        decide("K", text("result.keep", { name: given }), () => this.keep(), { disabled: !this.dataset }),
        decide("S", text("result.skip"), () => this.skip()),
        !locked && other,
      ),
    );
  }

  #end() {
    const { text } = this.context;
    if (!this.checked) return element("p.soft", {}, text(this.model.has_label_check ? "result.no_suspicions" : "result.not_checked"));
    return element("div.end", {}, element("p.soft", {}, text("result.reviewed")));
  }

  #summary(text) {
    const { corrected, kept } = this.#done;
    if (!corrected && !kept && this.current) return null;
    const done = corrected + kept > 0;
    return element(
      "div.row.end",
      {},
      userField(text),
      done && element("p.soft", {}, text("result.decided", { corrected, kept })),
      corrected > 0 && button([element("kbd", {}, "U"), text("result.undo_label")], () => this.undo()),
      (done || this.checked) && trainAgain(this.model, this.context, corrected > 0),
    );
  }
}
