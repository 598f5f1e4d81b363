// Events of the server: server-sent events while the page is visible, otherwise none. If they do not come, the page
// asks for the state every few seconds. After every gap the state is read again, so that the page shows the truth.

import { request } from "./request.js";

const KINDS = ["state", "training", "dataset", "check", "task"];
const SECONDS_OF_SILENCE = 25;
const SECONDS_BETWEEN_POLLS = 3;

/** The connection to the server; `on` adds a listener and returns what removes it. */
export class Events {
  #listeners = new Map();
  #source = null;
  #heard = 0;
  #timer = 0;
  #polling = false;

  /** @param {(state: object|null) => void} readState - receives the state after each gap; null if offline. */
  constructor(readState) {
    this.readState = readState;
  }

  on(kind, listener) {
    const listeners = this.#listeners.get(kind) ?? new Set();
    this.#listeners.set(kind, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /** Connect now, and again whenever the page is shown or the network is back. */
  start() {
    // A browser opens six connections to a server: hidden tabs keep none.
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#disconnect() : this.#connect()));
    window.addEventListener("online", () => this.#connect());
    window.addEventListener("pageshow", (event) => event.persisted && this.#connect());
    this.#timer = setInterval(() => this.#check(), 1000 * SECONDS_BETWEEN_POLLS);
    if (!document.hidden) this.#connect();
  }

  stop() {
    clearInterval(this.#timer);
    this.#disconnect();
  }

  #connect() {
    this.#disconnect();
    const source = new EventSource("/api/events");
    this.#source = source;
    this.#heard = Date.now();
    source.addEventListener("open", () => {
      this.#heard = Date.now();
      this.#poll();
    });
    source.addEventListener("alive", () => (this.#heard = Date.now()));
    for (const kind of KINDS) source.addEventListener(kind, (event) => this.#receive(kind, event.data));
  }

  #disconnect() {
    this.#source?.close();
    this.#source = null;
  }

  #receive(kind, text) {
    this.#heard = Date.now();
    const data = JSON.parse(text);
    for (const listener of this.#listeners.get(kind) ?? []) listener(data);
  }

  /** A computer that slept, or a proxy that keeps events back, leaves a connection that is open and silent. */
  #check() {
    if (document.hidden) return;
    const silent = Date.now() - this.#heard > 1000 * SECONDS_OF_SILENCE;
    if (!this.#source || silent || this.#source.readyState === EventSource.CLOSED) this.#connect();
    if (this.#source.readyState !== EventSource.OPEN || silent) this.#poll();
  }

  async #poll() {
    if (this.#polling) return;
    this.#polling = true;
    try {
      this.readState(await request.get("/api/state"));
    } catch (error) {
      if (error.status === 0) this.readState(null);
    } finally {
      this.#polling = false;
    }
  }
}
