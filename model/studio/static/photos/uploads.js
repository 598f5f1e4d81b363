// Uploads of this tab: they go on while other views are shown.

import { request } from "../request.js";
import { sendFiles } from "./sending.js";

/** An upload: `state` is sending, waiting, done, failed or cancelled. */
class Upload {
  progress = null;
  state = "sending";
  error = null;
  refused = null;
  isOpen = false;
  #control = new AbortController();

  constructor(dataset, files, className) {
    Object.assign(this, { dataset, files, className, size: files.reduce((sum, { file }) => sum + file.size, 0), began: Date.now() });
  }

  async run() {
    this.state = "sending";
    this.#control = new AbortController();
    try {
      this.progress = await sendFiles(this.dataset, this.files, this.className, {
        signal: this.#control.signal,
        onprogress: (progress) => this.#change("sending", progress),
        onwaiting: () => this.#change("waiting", this.progress),
      });
      this.#change("done", this.progress);
    } catch (error) {
      this.error = error;
      this.#change(error.name === "AbortError" ? "cancelled" : "failed", this.progress);
    }
  }

  /** Reads more of the files that were refused: the progress lists the first ones only. */
  async readRefused() {
    const known = this.refused ?? this.progress.refused;
    const path = `/api/datasets/${encodeURIComponent(this.dataset)}/uploads/${this.progress.upload}/refused`;
    const { refused } = await request.get(`${path}?offset=${known.length}`);
    this.refused = [...known, ...refused];
    uploads.changed(this);
  }

  cancel() {
    this.#control.abort();
  }

  get isActive() {
    return this.state === "sending" || this.state === "waiting";
  }

  /** Seconds until the end, at the pace so far; null at the beginning. */
  get secondsLeft() {
    const received = this.progress?.received ?? 0;
    const seconds = (Date.now() - this.began) / 1000;
    return received && seconds > 2 ? (seconds * (this.size - received)) / received : null;
  }

  #change(state, progress) {
    Object.assign(this, { state, progress });
    uploads.changed(this);
  }
}

export const uploads = {
  all: [],
  listeners: new Set(),

  start(dataset, files, className) {
    const upload = new Upload(dataset, files, className);
    this.all.push(upload);
    this.changed(upload);
    upload.run();
    return upload;
  },

  remove(upload) {
    this.all = this.all.filter((one) => one !== upload);
    this.changed(upload);
  },

  changed(upload) {
    for (const listener of [...this.listeners]) listener(upload);
  },

  on(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  },
};

window.addEventListener("beforeunload", (event) => {
  if (uploads.all.some((upload) => upload.isActive)) event.preventDefault();
});
