// The view Training: starts trainings, and shows those that run, wait or were interrupted.

import { button, element, replace } from "../elements.js";

export const view = {
  name: "training",

  mount(main, context) {
    const { text, state, request } = context;
    const choice = element("select", { name: "dataset" });
    const form = element(
      "form.row",
      { onsubmit: (event) => start(event, context) },
      element("label.field.grow", {}, text("training.dataset"), choice),
      element("button.main", {}, text("training.start")),
    );
    const list = element("ul");
    replace(main, element("h1", {}, text("training.title")), form, list);
    return state.subscribe(({ datasets = [], trainings = [] }) => {
      const chosen = choice.value || context.argument;
      replace(choice, datasets.map(({ name, photos }) => element("option", { value: name, selected: name === chosen }, `${name}: ${text("training.photos", { count: photos })}`)));
      replace(list, trainings.map((training) => element("li", {}, `${training.name}: ${training.state} ${training.phase} ${training.epoch}/${training.epochs} ${training.message}`,
        button(text("training.cancel"), () => request.post(`/api/trainings/${encodeURIComponent(training.name)}/cancel`)))));
    });
  },
};

async function start(event, { request }) {
  event.preventDefault();
  await request.post("/api/trainings", { dataset: event.target.elements.dataset.value, preset: "quick" });
}
