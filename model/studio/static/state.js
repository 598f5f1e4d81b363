// What the server says about the workspace, and what the user works on.

const KEY = "topgraft studio";

/** The state of the workspace; `current` is null until the first answer. */
export class State {
  #listeners = new Set();
  current = null;
  online = true;
  chosen = { dataset: "", model: "", ...stored() };

  /** Calls the listener with each new state, at once with the present one; returns what removes it. */
  subscribe(listener) {
    this.#listeners.add(listener);
    if (this.current) listener(this.current);
    return () => this.#listeners.delete(listener);
  }

  /** @param {object|null} change - parts of the state that are new; null if the server does not answer. */
  update(change) {
    this.online = change !== null;
    if (change) this.current = { ...this.current, ...change };
    if (this.current) for (const listener of [...this.#listeners]) listener(this.current);
  }

  /** Remember the dataset or model that the user works on, for the links between the views. */
  choose(change) {
    Object.assign(this.chosen, change);
    sessionStorage.setItem(KEY, JSON.stringify(this.chosen));
  }
}

function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}
