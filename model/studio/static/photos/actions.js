// What the user can do with a dataset: each is one request, and is said to users of screen readers.

import { ask, showHistory } from "./dialogs.js";
import { uploads } from "./uploads.js";

/** The actions of a view; `current` says which dataset and source it shows, `done` reads the dataset again. */
export class Actions {
  /** @param {object} options - `context`, `current()` -> {dataset, source, selected, classes}, `done(applied)`, `failed(error)`, `imports`. */
  constructor(options) {
    Object.assign(this, options);
  }

  path(rest = "") {
    return `/api/datasets/${encodeURIComponent(this.current().dataset)}${rest}`;
  }

  /** Makes a change; its error is shown in the view. */
  change(change) {
    return this.#try("/changes", change);
  }

  /** Takes back the last change, unless another one was made after it. */
  undo(number) {
    return this.#try(`/undo?number=${number}`, {});
  }

  /** Shows who changed what, and when. */
  async history() {
    const { request, text } = this.context;
    const path = this.path("/changes");
    try {
      await showHistory((offset) => request.get(`${path}?offset=${offset}`), text);
    } catch (error) {
      this.failed(error);
    }
  }

  moveTo(source, photos = this.current().selected) {
    if (!photos.length) return;
    this.change(source.kind === "removed" ? { kind: "remove_photos", photos } : { kind: "move_photos", photos, to: source.name });
  }

  remove() {
    const photos = this.current().selected;
    if (photos.length) this.change({ kind: "remove_photos", photos });
  }

  /** Asks to which class the selected photos go. */
  askWhere() {
    const { selected, classes, source } = this.current();
    const choices = classes.filter((name) => name !== source?.name);
    if (!selected.length || !choices.length) return;
    const title = this.#text("photos.move_title", { count: selected.length });
    this.#ask({ title, label: "photos.class", accept: "photos.move", choices, work: (to) => this.#send("/changes", { kind: "move_photos", photos: selected, to }) });
  }

  addClass() {
    this.#ask({ title: "photos.new_class", label: "photos.class_name", accept: "photos.create", work: (name) => this.#send("/changes", { kind: "add_class", name }) });
  }

  rename() {
    const { name } = this.current().source;
    const work = (newName) => this.#send("/changes", { kind: "rename_class", name, new_name: newName });
    this.#ask({ title: this.#text("photos.rename_title", { name }), label: "photos.class_name", accept: "photos.rename", value: name, work });
  }

  merge() {
    const { source, classes } = this.current();
    const choices = classes.filter((name) => name !== source.name);
    const work = (into) => this.#send("/changes", { kind: "merge_classes", names: [source.name], into });
    this.#ask({ title: this.#text("photos.merge_title", { name: source.name }), label: "photos.class", accept: "photos.merge", choices, work });
  }

  removeClass() {
    this.change({ kind: "remove_class", name: this.current().source.name });
  }

  /** Asks for a name and creates a dataset, with the photos of another one if `copied` is its name. */
  newDataset(copied = "") {
    const work = async (wish) => {
      const { name } = await this.context.request.post("/api/datasets", { name: wish });
      if (copied) await this.context.request.post(`/api/datasets/${encodeURIComponent(name)}/imports`, { source: copied });
      this.context.navigate("photos", name);
    };
    this.#ask({ title: "photos.new_dataset", label: "photos.dataset_name", accept: "photos.create", value: copied && this.#text("photos.copy_of", { name: copied }), work });
  }

  /** Asks what to copy into the dataset. */
  import() {
    this.#ask({ title: "photos.import", label: "photos.import_source", accept: "photos.import_start", hint: this.#text("photos.import_hint"), work: (source) => this.imports.start(source) });
  }

  /**
   * Sends files to the dataset; without one, to a new one with the name of their folder.
   * @param {Array<{file: File, name: string}>} files - the name includes the folders.
   * @param {string|null} className - null: their folders name it.
   */
  async upload(files, className) {
    if (!files.length) return this.failed(new Error(this.#text("photos.no_files")));
    try {
      const { dataset } = this.current();
      const target = dataset || (await this.#datasetFor(files));
      uploads.start(target, files, className);
      if (!dataset) this.context.navigate("photos", target);
    } catch (error) {
      this.failed(error);
    }
  }

  async #datasetFor(files) {
    const depth = files[0].name.split("/").length;
    const wish = depth > 2 ? files[0].name.split("/")[0] : this.#text("photos.first_dataset");
    for (let number = 1; ; number++) {
      try {
        return (await this.context.request.post("/api/datasets", { name: number > 1 ? `${wish} ${number}` : wish })).name;
      } catch (error) {
        if (error.status !== 422 || number > 9) throw error;
      }
    }
  }

  /** Sends a change. A refused one may be of a dataset that has changed meanwhile: it is read again. */
  async #try(path, body) {
    try {
      await this.#send(path, body);
    } catch (error) {
      this.failed(error);
      if (error.status) await this.done();
    }
  }

  async #send(path, body) {
    const applied = await this.context.request.post(this.path(path), body);
    const count = Object.keys(applied.photos).length;
    this.context.announce(this.#text(`photos.done_${applied.kind}`, { count }));
    if (applied.missing.length) this.failed(new Error(this.#text("photos.moved_meanwhile", { count: applied.missing.length })));
    await this.done(applied);
  }

  #ask({ title, label, accept, ...rest }) {
    ask({ title: this.#text(title), label: this.#text(label), accept: this.#text(accept), cancel: this.#text("app.cancel"), ...rest });
  }

  /** A text by its key; other sentences are returned as they are. */
  #text(key, values) {
    return this.context.text(key, values);
  }
}
