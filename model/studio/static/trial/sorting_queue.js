// The photos that are sorted: decisions are sent in their order while the next photo is already shown.

import { addressOfPhoto } from "../photos.js";

const PRELOADED = 4;
const MIN_KNOWN = 20;
const MILLISECONDS_BETWEEN_LOADS = 1500;
const LISTED = 200;

export class SortingQueue {
  #request;
  #dataset;
  #model;
  #photos = [];
  #decided = new Set();
  #skipped = new Map();
  #images = new Map();
  #sending = Promise.resolve();
  #sent = [];
  #undone = 0;
  #loading = null;
  #loadedAt = -Infinity;
  total = 0;
  sorted = 0;

  constructor(request, dataset, model) {
    this.#request = request;
    this.#dataset = dataset;
    this.#model = model;
  }

  get #path() {
    return `/api/datasets/${encodeURIComponent(this.#dataset)}`;
  }

  get current() {
    return this.#photos[0];
  }

  /** Number of photos that have no label yet; those that were skipped come back at the end. */
  get left() {
    return Math.max(this.#photos.length, this.total - this.#waiting);
  }

  // Decided here, and still without a label when the server was asked.
  #waiting = 0;

  /** Asks which photos have no label; the one that is shown stays the first. */
  load() {
    const wait = this.#loadedAt + MILLISECONDS_BETWEEN_LOADS - performance.now();
    this.#loading ??= new Promise((resolve) => setTimeout(resolve, Math.max(0, wait)))
      .then(() => this.#load())
      .finally(() => {
        this.#loading = null;
        this.#loadedAt = performance.now();
      });
    return this.#loading;
  }

  async #load() {
    let left;
    let undone;
    do {
      // An answer from before an undo does not have its photo.
      undone = this.#undone;
      left = await this.#undecided();
    } while (undone !== this.#undone);
    const shown = this.current?.photo;
    const kept = left.find(({ photo }) => photo === shown);
    this.#photos = kept ? [kept, ...left.filter((one) => one !== kept)] : left;
    this.#preload();
  }

  /** The first photos that were neither decided nor skipped; of the skipped ones if no other is left. */
  async #undecided() {
    const skipped = [];
    for (let offset = 0; ; offset += LISTED) {
      const found = await this.#request.get(`${this.#path}/unlabelled?${new URLSearchParams({ model: this.#model, offset })}`);
      this.total = found.total;
      this.#waiting = 0;
      const open = found.photos.filter(({ photo }) => !this.#decided.has(photo));
      const left = open.filter(({ photo }) => !this.#skipped.has(photo));
      skipped.push(...open.filter(({ photo }) => this.#skipped.has(photo)));
      if (left.length) return left;
      if (offset + LISTED < found.total) continue;
      this.#skipped.clear();
      return skipped;
    }
  }

  #bringSkippedBack() {
    this.#photos = [...this.#skipped.values()];
    this.#skipped.clear();
  }

  /** Predicts the photos in the background. */
  predict() {
    return this.#request.post(`${this.#path}/unlabelled/predictions`, { model: this.#model });
  }

  /**
   * The classes to choose from, each with its key: the same key for the same class where there is one for each; else
   * the most probable ones.
   */
  choices(classes, keys) {
    const { labels, probabilities } = this.current;
    const names = classes.length <= keys ? classes : (labels.length ? labels : classes).slice(0, keys);
    return names.map((name, index) => ({ name, key: String(index + 1), probability: labels.includes(name) ? probabilities[labels.indexOf(name)] : undefined }));
  }

  /** The photo that is shown, as an image that is loaded already. */
  image() {
    return this.#image(this.current.photo);
  }

  /** Gives the photo that is shown its class; the promise fails if the server refuses, and the photo comes back. */
  choose(name) {
    const chosen = this.#photos.shift();
    this.#decided.add(chosen.photo);
    this.sorted += 1;
    this.#waiting += 1;
    this.#next();
    const body = { dataset: this.#dataset, photo: chosen.photo, class: name, model: this.#model, answer: chosen.labels[0] ?? "" };
    const sent = this.#sending.then(async () => {
      const { number } = await this.#request.post("/api/corrections", body);
      this.#sent.push({ number, chosen });
    });
    this.#sending = sent.catch(() => {
      this.#decided.delete(chosen.photo);
      this.#photos.unshift(chosen);
      this.sorted -= 1;
      this.#waiting -= 1;
    });
    return sent;
  }

  skip() {
    const skipped = this.#photos.shift();
    this.#skipped.set(skipped.photo, skipped);
    this.#next();
  }

  /** Takes back the last decision, after all have arrived and others were taken back; its photo is shown again. */
  undo() {
    const undone = this.#sending.then(() => this.#undo());
    this.#sending = undone.catch(() => {});
    return undone;
  }

  async #undo() {
    const { number, chosen } = this.#sent.at(-1);
    await this.#request.post(`${this.#path}/undo?number=${number}`);
    this.#sent.pop();
    this.#undone += 1;
    this.sorted -= 1;
    // The server was asked before or after the decision.
    if (this.#waiting) this.#waiting -= 1;
    else this.total += 1;
    this.#decided.delete(chosen.photo);
    this.#photos = [chosen, ...this.#photos.filter(({ photo }) => photo !== chosen.photo)];
    this.#preload();
  }

  #next() {
    if (!this.#photos.length && this.left <= this.#skipped.size) this.#bringSkippedBack();
    this.#preload();
    if (this.#photos.length < MIN_KNOWN && this.left > this.#photos.length + this.#skipped.size) this.load().catch(() => {});
  }

  #preload() {
    const near = this.#photos.slice(0, PRELOADED).map(({ photo }) => photo);
    for (const photo of this.#images.keys()) if (!near.includes(photo)) this.#images.delete(photo);
    near.forEach((photo) => this.#image(photo));
  }

  #image(photo) {
    if (!this.#images.has(photo)) {
      const image = new Image();
      image.src = addressOfPhoto(this.#dataset, photo);
      // Decoded before it is shown.
      image.decode().catch(() => {});
      this.#images.set(photo, image);
    }
    return this.#images.get(photo);
  }
}
