// Imports into the dataset that is shown: they are tasks of the server, and are found again when the page is loaded.

import { button, element, replace } from "../elements.js";
import { english, messageOf } from "../messages.js";
import { watchTasks } from "../tasks.js";

const PHASES = ["download", "unpack", "import_labels", "import"];

/** The imports into one dataset, the last one first. */
export class Imports {
  #tasks = new Map();
  #shownAt = new Map();
  #stop;

  /**
   * @param {() => string} dataset - name of the dataset that is shown.
   * @param {(task: object) => void} ended - receives each import that ends while the page is shown.
   */
  constructor(panel, context, dataset, ended) {
    Object.assign(this, { panel, context, dataset, ended });
    this.#stop = watchTasks(context, (key) => key.startsWith(this.#prefix), (task) => this.#show(task), (keys, asked) => this.#lose(keys, asked));
  }

  end() {
    this.#stop();
  }

  async start(source) {
    this.#show(await this.context.request.post(`/api/datasets/${encodeURIComponent(this.dataset())}/imports`, { source }));
  }

  get #prefix() {
    return `import/${this.dataset()}/`;
  }

  #show(task) {
    if (typeof task.message === "string") task.message = english(task.message);
    const before = this.#tasks.get(task.key);
    if (before?.state !== "running") this.#shownAt.set(task.key, performance.now());
    this.#tasks.set(task.key, task);
    this.#draw();
    if (before?.state === "running" && task.state !== "running") this.ended(task);
  }

  /** Running imports that the server does not know any more: it has been started again. */
  #lose(keys, asked) {
    for (const [key, task] of this.#tasks) {
      if (task.state !== "running" || keys.includes(key) || this.#shownAt.get(key) > asked) continue;
      this.#show({ ...task, state: "failed", message: element("span", {}, this.context.text("photos.import_lost")) });
    }
  }

  /** Cancels an import, or removes the message about one that has ended. */
  async #end(task) {
    if (task.state !== "running") this.#tasks.delete(task.key);
    else this.context.announce(this.context.text("photos.cancelling"));
    this.#draw();
    // The server may have forgotten it.
    await this.context.request.post("/api/tasks/end", { key: task.key }).catch(() => {});
  }

  #draw() {
    this.panel.hidden = !this.#tasks.size;
    const focused = this.panel.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    replace(this.panel, [...this.#tasks.values()].reverse().map((task) => this.#row(task)));
    if (focused) this.panel.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  #row(task) {
    const { text } = this.context;
    const isRunning = task.state === "running";
    const value = task.total > 1 ? { value: task.done, max: task.total } : {};
    const label = { "aria-label": text("photos.importing", { source: this.#sourceOf(task) }) };
    const again = () => this.start(this.#sourceOf(task)).catch((error) => this.#show({ ...task, message: messageOf(error) }));
    return element(
      "div.upload.panel",
      { dataset: { state: task.state } },
      element("p", { role: task.state === "failed" ? "alert" : null }, this.#sentence(task)),
      isRunning ? element("progress", { ...label, ...value }) : null,
      element(
        "div.row",
        {},
        task.state === "failed" ? button(text("app.again"), again) : null,
        button(text(isRunning ? "app.cancel" : "app.close"), () => this.#end(task), { dataset: { key: task.key } }),
      ),
    );
  }

  #sentence(task) {
    const { text } = this.context;
    const { state, message, result } = task;
    const source = this.#sourceOf(task);
    if (state === "failed") return [text("photos.import_failed", { source }), " ", message];
    if (state === "cancelled") return text("photos.import_cancelled", { source });
    if (state === "running") return `${text("photos.importing", { source })} ${this.#progress(task)}`;
    return [text("photos.imported", { source, count: result.photos }), result.same ? ` ${text("photos.same", { count: result.same })}` : ""];
  }

  #progress({ phase, done, total }) {
    const { text, number } = this.context;
    const megabytes = (kilobytes) => number(kilobytes / 1000, { maximumFractionDigits: 1 });
    const values = phase === "download" ? { done: megabytes(done), total: megabytes(total) } : { done, total };
    return text(PHASES.includes(phase) ? `photos.phase_${phase}` : "photos.phase_start", values);
  }

  #sourceOf({ key }) {
    return key.slice(this.#prefix.length);
  }
}
