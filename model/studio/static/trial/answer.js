// A photo that was tried: the answer, where the model looked, similar training photos, and the correction.

import { button, element, replace } from "../elements.js";
import { english, messageOf } from "../messages.js";
import { problem } from "../models.js";
import { bars, percent } from "../page/bars.js";
import { mark } from "../page/card.js";
import { showHeat } from "../page/heat.js";
import { heatMap } from "../page/service.js";
import { isolated, printable } from "../page/shown.js";
import { thumbnail } from "../page/thumbnail.js";
import { addressOfThumbnail } from "../photos.js";
import { todays, todaysClasses } from "../renamed.js";

const CLASSES_IN_PICTURE = 5;

export class Answer {
  #shown = "";
  #ended = false;

  constructor(photo, context) {
    Object.assign(this, { photo, context });
    this.image = element("img", { alt: "", hidden: true });
    this.content = element("div.prediction", {});
    this.element = element("li.answer.panel", {}, element("div.photo", {}, this.image), this.content);
    thumbnail(photo.file, () => !this.#ended).then((url) => this.#showImage(url));
    this.update();
  }

  end() {
    this.#ended = true;
    if (this.image.src) URL.revokeObjectURL(this.image.src);
  }

  /** Draws the photo again if its state has changed. */
  update() {
    const { state, answer, error } = this.photo;
    const known = this.context.described()?.classes.length ?? 0;
    const drawn = `${state} ${known}`;
    if (drawn === this.#shown) return;
    this.#shown = drawn;
    const name = element("p.file", {}, element("bdi", {}, printable(this.photo.name)));
    if (answer) replace(this.content, name, this.#answer(answer));
    else if (error) replace(this.content, name, problem(english(error.message)), error.retryable && button(this.context.text("app.again"), () => this.context.retry()));
    else replace(this.content, name, element("p.soft", {}, this.context.text("try.asking")));
    if (answer) this.context.announce(`${printable(this.photo.name)}: ${this.#title(answer)}`);
  }

  #showImage(url) {
    if (!url) return;
    this.image.src = url;
    this.image.hidden = false;
  }

  #title({ labels, second, ...answer }) {
    const { text } = this.context;
    const kind = mark(answer);
    if (kind === "unknown") return text("try.unknown");
    return kind === "uncertain" && second ? text("try.between", { first: isolated(labels[0]), second: isolated(second) }) : printable(labels[0]);
  }

  #answer(answer) {
    const { text } = this.context;
    const kind = mark(answer);
    const summary = kind ? text(`try.${kind}_lead`, { name: isolated(answer.labels[0]) }) : text("try.confidence", { value: percent(answer.probabilities[0]) });
    this.element.dataset.state = kind || "answered";
    return [
      element("h3.best", {}, element("bdi", {}, this.#title(answer))),
      element("p.soft", {}, summary),
      element("ul.bars", {}, bars(answer)),
      element("div.row", {}, button(text("try.heat"), () => this.#heat(answer))),
      this.#similar(answer),
      this.#correction(answer),
    ];
  }

  #heat(answer) {
    const { text } = this.context;
    const names = ["drawing", "save", "close", "frame", "image"];
    const texts = Object.fromEntries(names.map((name) => [name, text(`try.heat_${name}`)]));
    showHeat(this.photo, (signal) => heatMap(this.photo, answer.model, CLASSES_IN_PICTURE, signal), texts);
  }

  #similar({ neighbours = [] }) {
    const { text } = this.context;
    const dataset = this.context.described()?.dataset;
    if (!neighbours.length) return null;
    const one = ({ image, label }) =>
      element(
        "li",
        {},
        dataset?.name && element("img", { src: addressOfThumbnail(dataset.name, dataset.photos + image), alt: "", loading: "lazy", onerror: ({ target }) => target.remove() }),
        element("bdi", {}, printable(label)),
      );
    return [element("h4", {}, text("try.similar")), element("ul.similar", {}, neighbours.map(one))];
  }

  /** Right, or wrong and what it is: the photo becomes one of the dataset. */
  #correction({ labels }) {
    const { text } = this.context;
    const described = this.context.described();
    if (!described) return null;
    if (!described.dataset.name) return element("p.soft", {}, text("try.no_dataset"));
    if (!described.dataset.editable) return element("p.soft", {}, text("result.not_editable"));
    const id = `classes-${crypto.randomUUID()}`;
    const answered = todays(described, labels[0]);
    const known = todaysClasses(described).filter((name) => name !== answered);
    const parent = element("div.correction", {});
    const add = (name) => this.#add(parent, name, labels[0]);
    const form = element(
      "form.row",
      { onsubmit: (event) => (event.preventDefault(), add(event.target.elements.name.value.trim())) },
      element("label.field.grow", {}, text("try.wrong"), element("input", { name: "name", list: id, required: true, maxlength: 120, autocomplete: "off" })),
      element("datalist", { id }, known.map((name) => element("option", { value: name }))),
      element("button.plain", {}, text("try.add")),
    );
    const note = answered === labels[0] ? null : element("p.soft", {}, text("try.renamed", { name: isolated(labels[0]), now: isolated(answered) }));
    replace(parent, note, button(text("try.right", { name: isolated(answered) }), () => add(answered), { class: "main" }), form);
    return parent;
  }

  async #add(parent, name, answer) {
    const { text, request, announce, model } = this.context;
    const before = [...parent.childNodes];
    const { dataset } = this.context.described();
    const query = new URLSearchParams({ dataset: dataset.name, class: name, model, answer, name: this.photo.file.name });
    replace(parent, element("p.soft", {}, text("try.adding")));
    try {
      const { number, class: label, before: classes } = await request.post(`/api/corrections?${query}`, this.photo.file, { headers: { "Content-Type": "application/octet-stream" } });
      const moved = classes.length ? text("try.moved", { name: label, before: classes.join(", ") }) : text("try.added", { name: label });
      const said = number ? moved : text("try.already", { name: label });
      // Nothing was changed without a number.
      const back = number ? button(text("result.undo_label"), () => this.#undo(parent, before, dataset.name, number)) : button(text("try.answer_again"), () => replace(parent, before));
      replace(parent, element("p.row", {}, element("span.badge", {}, said), back));
      announce(said);
      back.focus();
    } catch (error) {
      replace(parent, problem(messageOf(error)), before);
    }
  }

  async #undo(parent, before, dataset, number) {
    try {
      await this.context.request.post(`/api/datasets/${encodeURIComponent(dataset)}/undo?number=${number}`);
      replace(parent, before);
      this.context.announce(this.context.text("result.undone"));
    } catch (error) {
      parent.append(problem(messageOf(error)));
    }
  }
}
