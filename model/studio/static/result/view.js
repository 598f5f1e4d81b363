// The view Result: what to expect of a model, what would make it better, and its report.

import { element, replace } from "../elements.js";
import { messageOf } from "../messages.js";
import { loadUntilDone, modelPath, modelView, problem } from "../models.js";
import { drawComparison } from "./comparison.js";
import { drawLabels } from "./labels.js";
import { summary, weakest } from "./summary.js";

export const view = modelView("result", draw);

function draw(parent, context, model) {
  const { text, request } = context;
  const parts = { summary: element("section.expected", { "aria-live": "polite" }), weakest: element("section.panel"), labels: element("section.panel"), comparison: element("section.panel") };
  const report = element("section.report", {});
  replace(parent, parts.summary, element("div.columns", {}, parts.weakest, parts.labels), parts.comparison, report);
  const ends = [];
  let ended = false;
  let isDrawn = false;

  async function load() {
    const found = await request.get(modelPath(model));
    if (ended) return;
    replace(parts.summary, summary(found, context, load));
    replace(parts.weakest, weakest(found, context));
    if (isDrawn) return;
    isDrawn = true;
    ends.push(drawLabels(parts.labels, found, context), drawComparison(parts.comparison, found, context));
    replace(report, element("h2", {}, text("result.report")), found.has_report ? frame(model, text) : element("p.soft", {}, text("result.no_report")));
  }
  ends.push(loadUntilDone(context, load, (error) => replace(parts.summary, problem(messageOf(error)))));
  return () => {
    ended = true;
    for (const end of ends) end();
  };
}

/** The report, in a frame without access to this page. */
function frame(model, text) {
  const address = modelPath(model, "/report");
  return [
    element("p.soft", {}, element("a", { href: address, target: "_blank", rel: "noopener" }, text("result.open_report"))),
    element("iframe", { src: address, sandbox: "allow-scripts", title: text("result.report_of", { model }), loading: "lazy" }),
  ];
}
