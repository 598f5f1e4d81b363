// The queue of photos: a few are classified at a time, in their order.
//
// States of a photo: waiting, running, answered, failed, cancelled. A request that fails because of the service, not
// of the photo, pauses the queue: the photo waits again, and no request is sent before `resume`.

const MAX_ATTEMPTS = 5;

export class Queue {
  #classify;
  #maxRunning;
  #changed;
  #paused;
  #running = new Map();
  photos = [];
  isPaused = true;

  // classify: (photo, signal) -> a prediction; maxRunning: () -> the maximum number of requests at a time;
  // changed: called with a photo, or null for all; paused: called with the error that paused the queue.
  constructor({ classify, maxRunning, changed, paused }) {
    this.#classify = classify;
    this.#maxRunning = maxRunning;
    this.#changed = changed;
    this.#paused = paused;
  }

  count(...states) {
    return this.photos.filter((photo) => states.includes(photo.state)).length;
  }

  get busy() {
    return this.count("waiting", "running") > 0;
  }

  add(photos) {
    this.photos.push(...photos);
    photos.forEach(wait);
    this.#startNext();
  }

  // Classify photos again, all of them by default.
  restart(photos = this.photos) {
    this.#abort(photos);
    photos.forEach(wait);
    this.#changed(null);
    this.#startNext();
  }

  cancel() {
    const unfinished = this.photos.filter((photo) => photo.state === "waiting" || photo.state === "running");
    this.#abort(unfinished);
    for (const photo of unfinished) photo.state = "cancelled";
    this.#changed(null);
  }

  clear() {
    this.#abort(this.photos);
    this.photos = [];
    this.#changed(null);
  }

  pause() {
    this.isPaused = true;
  }

  resume() {
    this.isPaused = false;
    this.#startNext();
  }

  #startNext() {
    while (!this.isPaused && this.#running.size < this.#maxRunning()) {
      const next = this.photos.find((photo) => photo.state === "waiting");
      if (!next) return;
      this.#run(next);
    }
  }

  async #run(photo) {
    const controller = new AbortController();
    this.#running.set(photo, controller);
    this.#set(photo, { state: "running" });
    let outcome;
    try {
      outcome = { state: "answered", answer: await this.#classify(photo, controller.signal) };
    } catch (error) {
      photo.attempts += 1;
      const pauses = error.pauses && photo.attempts < MAX_ATTEMPTS;
      outcome = pauses ? { state: "waiting" } : { state: "failed", error };
      if (pauses && !controller.signal.aborted && !this.isPaused) {
        this.pause();
        this.#paused(error);
      }
    }
    if (controller.signal.aborted) return;
    this.#running.delete(photo);
    this.#set(photo, outcome);
    this.#startNext();
  }

  #set(photo, values) {
    Object.assign(photo, values);
    this.#changed(photo);
  }

  #abort(photos) {
    for (const photo of photos) {
      this.#running.get(photo)?.abort();
      this.#running.delete(photo);
    }
  }
}

function wait(photo) {
  Object.assign(photo, { state: "waiting", answer: null, error: null, attempts: 0 });
}
