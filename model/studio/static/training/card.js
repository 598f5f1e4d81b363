// One training: its state in words, its phases, time left, curves and log, and what can be done with it.

import { button, element, replace } from "../elements.js";
import { english, messageOf } from "../messages.js";
import { curveChart } from "./curves.js";

const STEPS = {
  check: ["start", "check"],
  search: ["tune"],
  look: ["prepare", "features"],
  learn: ["head", "cross_validation"],
  fine_tune: ["fine_tune_inputs", "fine_tune"],
  export: ["export"],
  report: ["report"],
};
const OPTIONAL = ["search", "fine_tune"];
const SECONDS_BETWEEN_CURVES = 1;

/** A card that `draw` brings up to date. */
export class TrainingCard {
  #state = "";
  #curvesOf = 0;
  #logTimer = 0;

  /** @param {() => void} forget - called when the user closes the card of a finished training. */
  constructor(name, context, forget) {
    Object.assign(this, { name, context, forget });
    const { text } = context;
    this.path = `/api/trainings/${encodeURIComponent(name)}`;
    this.heading = element("h2", {}, name);
    this.sentence = element("p.training-state");
    this.steps = element("ol.steps", { "aria-label": text("training.steps") });
    this.bar = element("progress", { "aria-label": text("training.progress"), max: 1, value: 0 });
    this.message = element("p.message", { hidden: true });
    this.chart = element("div.curves");
    this.actions = element("div.row.actions");
    this.log = element("pre.log", { tabindex: "0", role: "region", "aria-label": text("training.log") });
    this.details = element("details.log-details", { ontoggle: () => this.#toggleLog() }, element("summary", {}, text("training.log")), this.log);
    this.element = element("article.panel.training", {}, this.heading, this.sentence, this.steps, this.bar, this.message, this.chart, this.actions, this.details);
  }

  draw(training) {
    const { state } = training;
    const active = state === "running" || state === "queued";
    this.sentence.textContent = this.#describe(training);
    this.steps.hidden = this.bar.hidden = state !== "running";
    if (state === "running") this.#drawProgress(training);
    // The message of a cancelled training names the command that resumes it; a button does the same.
    const isExplained = active || (state === "cancelled" && training.resumable);
    this.#say(isExplained ? "" : english(training.message ?? ""));
    this.details.hidden = state === "done";
    this.#drawCurves(training);
    if (state === this.#state) return;
    if (this.#state) this.context.announce(`${this.name}: ${this.sentence.textContent}`);
    this.#state = state;
    this.element.dataset.state = state;
    replace(this.actions, this.#actionsFor(training));
  }

  end() {
    clearInterval(this.#logTimer);
  }

  #say(message) {
    replace(this.message, message);
    this.message.hidden = !message;
  }

  #describe({ state, place, phase, epoch, epochs, eta_seconds: left, model }) {
    const { text, number, duration } = this.context;
    if (state === "done") {
      const percent = (value) => number(Math.round(100 * value));
      const [low, high] = (model.accuracy_interval ?? []).map(percent);
      return high ? text("training.done_right", { right: percent(model.accuracy), low, high }) : text("training.done");
    }
    if (state === "queued") return text("training.queued", { place });
    if (state !== "running") return text(`training.${state}`);
    const step = text(`training.phase_${phase || "start"}`);
    const count = epochs > 1 ? text("training.steps_done", { done: epoch, total: epochs }) : "";
    const time = left === null || left === undefined ? "" : text("training.left", { time: duration(left) });
    return [step, count, time].filter(Boolean).join(" · ");
  }

  #drawProgress({ phase, epoch, epochs }) {
    const { text } = this.context;
    const current = Object.keys(STEPS).find((step) => STEPS[step].includes(phase)) ?? "check";
    const names = Object.keys(STEPS).filter((step) => !OPTIONAL.includes(step) || step === current);
    const position = names.indexOf(current);
    replace(
      this.steps,
      names.map((name, index) =>
        element("li", { class: index < position ? "past" : "", "aria-current": index === position ? "step" : null }, text(`training.step_${name}`)),
      ),
    );
    this.bar.value = (position + (epochs ? Math.min(1, epoch / epochs) : 0)) / names.length;
  }

  /** Curves are read at most once a second, and once at the end. */
  async #drawCurves({ state, phase }) {
    const learns = [...STEPS.learn, ...STEPS.fine_tune, "export", "report"].includes(phase);
    const due = Date.now() - this.#curvesOf > 1000 * SECONDS_BETWEEN_CURVES;
    if (state === "queued" || !(state === this.#state ? state === "running" && learns && due : state !== "running" || learns)) return;
    this.#curvesOf = Date.now();
    const rows = await this.context.request.get(`${this.path}/curves`).catch(() => []);
    replace(this.chart, rows.length > 1 && curveChart(this.context, rows));
  }

  #actionsFor({ state, resumable }) {
    const { text, address } = this.context;
    const act = (name) => button(text(`training.${name}`), (event) => this.#act(name, event.target));
    if (state === "running" || state === "queued") return [act("cancel")];
    if (state === "done") {
      const close = () => {
        this.forget();
        this.element.remove();
      };
      return [
        element("a.main", { href: address("result", this.name) }, text("training.show_result")),
        element("a.plain", { href: address("try", this.name) }, text("training.try_it")),
        button(text("app.close"), close),
      ];
    }
    return [resumable && act("resume"), act("remove")];
  }

  async #act(action, pressed) {
    const { request, state } = this.context;
    pressed.disabled = true;
    try {
      await request.post(`${this.path}/${action}`);
      state.update({ trainings: await request.get("/api/trainings") });
    } catch (error) {
      this.#say(messageOf(error));
    } finally {
      pressed.disabled = false;
    }
  }

  #toggleLog() {
    clearInterval(this.#logTimer);
    if (!this.details.open) return;
    this.#readLog();
    this.#logTimer = setInterval(() => this.#readLog(), 2000);
  }

  async #readLog() {
    const { request, text } = this.context;
    const found = await request.get(`${this.path}/log`).catch(() => null);
    if (found === null || !this.details.open) return;
    const atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 8;
    this.log.textContent = found.log || text("training.no_log");
    if (atEnd) this.log.scrollTop = this.log.scrollHeight;
  }
}
