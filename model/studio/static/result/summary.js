// The first sentence of a result, the classes with the most errors, and the choice of the model that is used.

import { button, element } from "../elements.js";
import { messageOf } from "../messages.js";
import { modelPath, problem } from "../models.js";
import { todays } from "../renamed.js";

/** What to expect, and whether this model answers; `reload` is called after a change. */
export function summary(model, context, reload) {
  const { text } = context;
  return [
    element("p.sentence", {}, sentence(model.accuracy, text)),
    model.accuracy && element("p.soft", {}, measured(model.accuracy, context)),
    element("div.row", {}, choice(model, context, reload)),
  ];
}

function sentence(accuracy, text) {
  if (!accuracy) return text("result.not_measured");
  const of100 = (fraction) => Math.round(100 * fraction);
  const values = { right: of100(accuracy.accuracy) };
  if (!accuracy.interval) return text("result.expect_only", values);
  const [low, high] = accuracy.interval.map(of100);
  return text("result.expect", { ...values, low, high });
}

function measured({ measurement, images }, { text }) {
  const photos = images ? text("result.photos", { count: images }) : text("result.some_photos");
  return text(`result.measured_${measurement}`, { photos });
}

function choice(model, context, reload) {
  const { text, request, announce } = context;
  const act = async (event, path, said) => {
    const parent = event.target.parentElement;
    event.target.disabled = true;
    try {
      await request.post(path);
      announce(said);
      await reload();
    } catch (error) {
      event.target.disabled = false;
      parent.append(problem(messageOf(error)));
    }
  };
  const use = (event) => act(event, modelPath(model.name, "/use"), text("result.in_use"));
  const undo = (event) => act(event, "/api/promotion/undo", text("result.undone"));
  return [
    model.latest ? element("span.badge", {}, text(model.promoted ? "result.in_use" : "result.in_use_newest")) : null,
    model.promoted ? null : button(text(model.latest ? "result.pin" : "result.use"), use, { class: model.latest ? "" : "main" }),
    model.can_undo && button(text("result.undo"), undo),
  ];
}

/** The classes with the most errors; of each, more photos can be collected. */
export function weakest(model, context) {
  const { text, number, address } = context;
  const heading = element("h2", {}, text("result.weakest"));
  if (!model.weakest.length) return [heading, element("p.soft", {}, text(model.accuracy ? "result.no_errors" : "result.not_measured"))];
  const row = (one) =>
    element(
      "li",
      {},
      element("bdi.name", {}, one.class),
      element("span.soft", {}, found(one, text)),
      meter(one, number),
      model.dataset.name &&
        element("a.plain", { href: address("photos", model.dataset.name, todays(model, one.class)) }, text("result.collect", { name: todays(model, one.class) })),
    );
  return [heading, element("p.soft", {}, text("result.weakest_lead")), element("ul.weakest", {}, model.weakest.map(row))];
}

function found({ recall, measured_photos: photos, training_photos: trained }, text) {
  const right = text("result.found", { right: Math.round(recall * photos), count: photos });
  return trained === null || trained === undefined ? right : `${right} · ${text("result.trained_on", { count: trained })}`;
}

/** The fraction that was found, with its 95 % interval. */
function meter({ recall, recall_interval: interval }, number) {
  const percent = (fraction) => `${100 * fraction}%`;
  const label = interval?.map((limit) => number(limit, { style: "percent" })).join(" – ") ?? "";
  const range = interval && element("span.range", { style: { left: percent(interval[0]), width: percent(interval[1] - interval[0]) } });
  return element("span.recall", { title: label, "aria-hidden": "true" }, element("span.found", { style: { width: percent(recall) } }), range);
}
