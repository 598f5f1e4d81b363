// What the views of a model share: the choice of the model, and what is shown without one.

import { element, replace } from "./elements.js";
import { english } from "./messages.js";

/**
 * A view of one model: that of the address, or else the latest one.
 * @param {string} name - of the view.
 * @param {(parent: Element, context: object, model: string) => (() => void)|void} draw - draws the view; returns what
 *   ends it.
 */
export function modelView(name, draw) {
  return { name, mount: (main, context) => mount(main, context, name, draw) };
}

function mount(main, context, name, draw) {
  const { text, state } = context;
  const head = element("div.view-head");
  const content = element("div");
  replace(main, head, content);
  let leave = () => {};
  let listed = "";
  let shown = "";
  const stop = state.subscribe(({ models = [] }) => {
    const model = chosen(models, context.argument);
    // The list is drawn again only when it has changed: it may be open.
    const list = JSON.stringify(models.map((one) => [one.name, one.problem, one.latest]));
    if (list !== listed) replace(head, element("h1", {}, text(`${name}.title`)), choice(context, name, models, model), missing(context, models));
    listed = list;
    const identity = model ? `${model.name} ${model.created} ${model.problem ?? ""}` : "none";
    if (identity === shown) return;
    shown = identity;
    leave();
    leave = () => {};
    replace(content);
    if (!model) replace(content, nothing(context));
    else if (model.problem) replace(content, problem([text("app.model_damaged"), " ", english(model.problem)]));
    else leave = draw(content, context, model.name) ?? (() => {});
  });
  return () => {
    stop();
    leave();
  };
}

/** A message that something is wrong, a text or an element, which screen readers read at once. */
export function problem(message) {
  return element("p.notice", { role: "alert" }, message);
}

/**
 * Loads what a part of a view shows; again with each new state of the studio, until that succeeds: the studio may have
 * been restarted. Returns what ends it.
 * @param {() => Promise<void>} load - reads and draws.
 * @param {(error: Error) => void} failed - shows why that was not possible.
 */
export function loadUntilDone({ state }, load, failed) {
  let pending = false;
  let ended = false;
  const read = async () => {
    pending = false;
    try {
      await load();
    } catch (error) {
      if (ended) return;
      pending = true;
      failed(error);
    }
  };
  const stop = state.subscribe(() => pending && state.online && read());
  read();
  return () => {
    ended = true;
    stop();
  };
}

/** The path of a request about a model. */
export function modelPath(model, rest = "") {
  return `/api/models/${encodeURIComponent(model)}${rest}`;
}

function chosen(models, name) {
  return models.find((one) => one.name === name) ?? models.find((one) => one.latest) ?? models[0];
}

function choice({ text, navigate }, name, models, model) {
  if (models.length < 2) return model ? element("p.soft.only-model", {}, model.name) : null;
  const label = (one) => `${one.name}${one.latest ? ` (${text("app.latest")})` : ""}`;
  const options = models.map((one) => element("option", { value: one.name, selected: one === model }, label(one)));
  return element(
    "label.field.grow",
    {},
    text("app.model"),
    element("select", { id: "model", onchange: (event) => navigate(name, event.target.value) }, options),
  );
}

function missing({ text, argument }, models) {
  if (!argument || models.some((one) => one.name === argument)) return null;
  return models.length ? problem(text("app.model_missing", { name: argument })) : null;
}

function nothing({ text, address }) {
  return element("div.panel.empty", {}, element("p", {}, text("app.no_model")), element("a.main", { href: address("training") }, text("training.title")));
}
