// Photos that wait for their answer, a few asked about at a time, in their order.
//
// States of a photo: waiting, asking, answered, failed, stopped. A question that fails because of the service, not
// of the photo, holds up the queue: the photo waits again, and nothing is asked before `goOn`.

const MOST_TRIES = 5;

export class Queue {
  #ask;
  #atOnce;
  #changed;
  #heldUp;
  #running = new Map();
  photos = [];
  held = true;

  // ask: (photo, signal) -> its answer; atOnce: () -> how many may be asked about now;
  // changed: (photo or null for all) -> nothing; heldUp: (error) -> nothing.
  constructor({ ask, atOnce, changed, heldUp }) {
    this.#ask = ask;
    this.#atOnce = atOnce;
    this.#changed = changed;
    this.#heldUp = heldUp;
  }

  count(...states) {
    return this.photos.filter((photo) => states.includes(photo.state)).length;
  }

  get busy() {
    return this.count("waiting", "asking") > 0;
  }

  add(photos) {
    this.photos.push(...photos);
    photos.forEach(wait);
    this.#pump();
  }

  // Ask about some photos again, all of them by default.
  again(photos = this.photos) {
    this.#abort(photos);
    photos.forEach(wait);
    this.#changed(null);
    this.#pump();
  }

  stop() {
    const left = this.photos.filter((photo) => photo.state === "waiting" || photo.state === "asking");
    this.#abort(left);
    for (const photo of left) photo.state = "stopped";
    this.#changed(null);
  }

  clear() {
    this.#abort(this.photos);
    this.photos = [];
    this.#changed(null);
  }

  hold() {
    this.held = true;
  }

  goOn() {
    this.held = false;
    this.#pump();
  }

  #pump() {
    while (!this.held && this.#running.size < this.#atOnce()) {
      const next = this.photos.find((photo) => photo.state === "waiting");
      if (!next) return;
      this.#question(next);
    }
  }

  async #question(photo) {
    const controller = new AbortController();
    this.#running.set(photo, controller);
    this.#set(photo, { state: "asking" });
    let outcome;
    try {
      outcome = { state: "answered", answer: await this.#ask(photo, controller.signal) };
    } catch (error) {
      photo.tries += 1;
      const holdsUp = error.holdsUp && photo.tries < MOST_TRIES;
      outcome = holdsUp ? { state: "waiting" } : { state: "failed", error };
      if (holdsUp && !controller.signal.aborted && !this.held) {
        this.hold();
        this.#heldUp(error);
      }
    }
    if (controller.signal.aborted) return;
    this.#running.delete(photo);
    this.#set(photo, outcome);
    this.#pump();
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
  Object.assign(photo, { state: "waiting", answer: null, error: null, tries: 0 });
}
