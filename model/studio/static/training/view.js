// The view Training: one button, three choices and more options; below, the trainings and the newest models.

import { element, replace } from "../elements.js";
import { messageOf } from "../messages.js";
import { choiceCards } from "./choices.js";
import { optionsForm } from "./options.js";
import { TrainingList } from "./list.js";

export const view = {
  name: "training",

  mount(main, context) {
    const { text, state, request } = context;
    const dataset = element("select", { name: "dataset", id: "dataset", onchange: () => (drawMissing(state.current.datasets.find(({ name }) => name === dataset.value)), choose(dataset.value)) });
    const notice = element("p.notice", { role: "alert", hidden: true });
    const choices = element("div.choices", { role: "radiogroup", "aria-label": text("training.choice"), onchange: showOptions });
    const more = element("details.more-options", {}, element("summary", {}, text("training.more_options")));
    const start = element("button.main.start", { type: "submit", "aria-describedby": "not-trainable" }, text("training.start"));
    const missing = element("p.soft", { id: "not-trainable", role: "status" });
    let isTrainable = true;
    let isStarting = false;
    const form = element(
      "form.new-training",
      { onsubmit: submit, novalidate: true },
      element("label.field.grow", {}, text("training.dataset"), dataset),
      choices,
      more,
      notice,
      missing,
      element("div.row", {}, start, element("span.soft", {}, text("training.goes_on"))),
    );
    const empty = element(
      "p.notice",
      { hidden: true },
      element("span", {}, text("training.no_photos")),
      element("a.plain", { href: context.address("photos") }, text("training.add_photos")),
    );
    const list = new TrainingList(context);
    replace(main, element("h1", {}, text("training.title")), element("p.lead", {}, text("training.lead")), empty, form, list.element);

    let options = null;
    let offered = [];
    let shownDataset = "";
    let isMissing = false;

    async function choose(name) {
      shownDataset = name;
      state.choose({ dataset: name });
      const found = await request.get(`/api/training-options?dataset=${encodeURIComponent(name)}`).catch(show);
      if (name !== shownDataset) return;
      if (!found) {
        // Asked again with the next state: the studio may have been restarted.
        shownDataset = "";
        isMissing = true;
        return;
      }
      if (isMissing) notice.hidden = true;
      isMissing = false;
      const chosen = new FormData(form).get("preset");
      offered = found.choices;
      replace(choices, choiceCards(context, offered, chosen));
      if (!options) {
        options = optionsForm(context, found.groups);
        more.append(options.element);
      }
      showOptions();
    }

    function showOptions() {
      const chosen = new FormData(form).get("preset");
      options?.setChoice(offered.find(({ name }) => name === chosen)?.options ?? {});
    }

    async function submit(event) {
      event.preventDefault();
      notice.hidden = true;
      const wrong = options?.firstInvalid();
      if (wrong) {
        more.open = true;
        return wrong.reportValidity();
      }
      isStarting = true;
      allowStart();
      try {
        const preset = new FormData(form).get("preset");
        const { name } = await request.post("/api/trainings", { dataset: dataset.value, preset, ...options?.values() });
        list.follow(name);
        context.announce(text("training.started", { name }));
        state.update({ trainings: await request.get("/api/trainings") });
      } catch (error) {
        show(error);
      } finally {
        isStarting = false;
        allowStart();
      }
    }

    function allowStart() {
      start.disabled = isStarting || !isTrainable;
    }

    /** A dataset that no training accepts says what is missing before the button is pressed. */
    function drawMissing(chosen) {
      const needed = chosen ? missingIn(chosen) : "";
      missing.textContent = needed && text(needed);
      missing.hidden = !needed;
      isTrainable = !needed;
      allowStart();
    }

    function show(error) {
      replace(notice, messageOf(error));
      notice.hidden = false;
    }

    const unsubscribe = state.subscribe((current) => {
      const names = current.datasets.map(({ name }) => name);
      const chosen = names.includes(dataset.value) ? dataset.value : names.includes(context.argument) ? context.argument : names[0];
      drawDatasets(dataset, current.datasets, chosen, text);
      drawMissing(current.datasets.find(({ name }) => name === chosen));
      empty.hidden = names.length > 0;
      form.hidden = names.length === 0;
      if (chosen && chosen !== shownDataset && state.online) choose(chosen);
      list.draw(current);
    });
    return () => {
      unsubscribe();
      list.end();
    };
  },
};

/** The text of what a dataset lacks by its numbers; empty if a training may accept it. */
function missingIn({ photos, classes, edited }) {
  // Of other datasets, lists and tables may state the classes.
  if (!edited) return "";
  if (classes < 2) return "photos.missing_classes";
  return photos <= classes ? "photos.missing_validation" : "";
}

function drawDatasets(select, datasets, chosen, text) {
  const labels = datasets.map(({ name, photos, classes }) => {
    const counts = [text("training.photos", { count: photos }), text("training.classes", { count: classes })];
    return [name, `${name}: ${counts.join(", ")}`];
  });
  if (select.dataset.shown === JSON.stringify(labels)) return;
  select.dataset.shown = JSON.stringify(labels);
  replace(select, labels.map(([name, label]) => element("option", { value: name, selected: name === chosen }, label)));
}
