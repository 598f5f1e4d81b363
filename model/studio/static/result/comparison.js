// Two models side by side: on the same photos, with the page of the comparison.

import { button, element, replace } from "../elements.js";
import { english, messageOf, sentence } from "../messages.js";
import { problem } from "../models.js";
import { watchTasks } from "../tasks.js";

/** Draws the choice of another model; returns what ends the view. */
export function drawComparison(parent, model, context) {
  const { text, state, request } = context;
  const outcome = element("div", { "aria-live": "polite" });
  const choice = element("select", { id: "other" });
  const start = button(text("result.compare"), () => compare(), {});
  const dataset = model.dataset.name || model.dataset.path;
  let shown = "";

  replace(
    parent,
    element("h2", {}, text("result.side_by_side")),
    element("p.soft", {}, text("result.side_by_side_lead", { dataset })),
    element("div.row", {}, element("label.field.grow", {}, text("result.other_model"), choice), start),
    outcome,
  );

  async function compare() {
    start.disabled = true;
    replace(outcome, progress(text("result.comparing")));
    try {
      show(await request.post("/api/comparisons", { base: choice.value, new: model.name, dataset }));
    } catch (error) {
      start.disabled = false;
      replace(outcome, problem(messageOf(error)));
    }
  }

  function show(task) {
    start.disabled = task.state === "running";
    const drawn = JSON.stringify(task);
    if (drawn === shown) return;
    shown = drawn;
    if (task.state === "running") replace(outcome, progress(text("result.comparing"), task));
    else if (task.state === "failed") replace(outcome, problem(english(task.message)));
    else replace(outcome, compared(task.result, text));
  }

  const stop = state.subscribe(({ models = [] }) => {
    const others = models.filter((one) => one.name !== model.name && !one.problem);
    parent.hidden = !others.length || !model.dataset.exists;
    const before = choice.value;
    if ([...choice.options].map(({ value }) => value).join("\n") === others.map(({ name }) => name).join("\n")) return;
    replace(choice, others.map(({ name }) => element("option", { value: name, selected: name === before }, name)));
  });
  const end = watchTasks(context, (key) => key === `compare/${choice.value}/${model.name}`, show);
  return () => {
    stop();
    end();
  };
}

function progress(label, { done = 0, total = 0 } = {}) {
  return element("label.task", {}, label, element("progress", total ? { value: done, max: total } : {}));
}

function compared({ base, new: newer, sentences, has_page: hasPage, warnings }, text) {
  const address = `/api/comparisons/${encodeURIComponent(base)}/${encodeURIComponent(newer)}`;
  return [
    sentences.map((one) => element("p.sentence.small", {}, english(one))),
    warnings.map((one) => element("p.soft", {}, english(`${sentence(one)}.`))),
    hasPage && element("iframe", { src: address, sandbox: "allow-scripts", title: text("result.side_by_side") }),
  ];
}
