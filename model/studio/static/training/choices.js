// The three choices of a training, each with what it cost and gained where it was measured.

import { element } from "../elements.js";

/**
 * Radio buttons as cards.
 * @param {object[]} choices - as /api/training-options sends them.
 * @param {string|null} chosen - name of the choice; null for the default.
 */
export function choiceCards(context, choices, chosen) {
  const cards = choices.map((choice) => card(context, choice, chosen ? choice.name === chosen : choice.default));
  return areAlike(choices) ? cards : [...cards, element("p.soft.unlike", {}, context.text("training.unlike"))];
}

/** Whether all accuracies were measured in the same way, on as many photos. */
function areAlike(choices) {
  const shown = choices.filter(({ here, benchmark }) => isMeasured(here ?? benchmark));
  const ways = shown.map(({ here }) => (here ? `${here.measured_by} ${here.images}` : "benchmark"));
  return new Set(ways).size < 2;
}

function isMeasured(measured) {
  return measured?.accuracy !== null && measured?.accuracy !== undefined;
}

function card({ text, number, duration }, { name, benchmark, here }, checked) {
  const measured = here ?? benchmark;
  const id = `choice-${name}`;
  return element(
    "label.choice",
    {},
    element("input", { type: "radio", name: "preset", value: name, checked, "aria-describedby": id }),
    element("span.choice-name", {}, text(`training.choice_${name}`)),
    element(
      "span.choice-text",
      { id },
      element("span", {}, text(`training.choice_${name}_text`)),
      measured && element("span.figures", {}, figures({ text, number, duration }, measured)),
      measured && element("span.soft", {}, origin(text, here, benchmark)),
    ),
  );
}

function figures({ text, number, duration }, { seconds, accuracy, interval }) {
  const time = element("strong", {}, duration(seconds));
  if (!isMeasured({ accuracy })) return time;
  const percent = (value) => number(Math.round(100 * value));
  const range = interval && text("training.range", { low: percent(interval[0]), high: percent(interval[1]) });
  const right = text("training.of_100", { right: percent(accuracy) });
  return [time, element("span", {}, element("strong", {}, right), range && ` ${range}`)];
}

function origin(text, here, benchmark) {
  if (here) {
    const trainings = text("training.measured_here", { count: here.trainings });
    return isMeasured(here) && here.images ? `${trainings}; ${text(`training.by_${here.measured_by}`, { count: here.images })}` : trainings;
  }
  const { photos, classes, processors } = benchmark;
  return text("training.measured_benchmark", { photos, classes, processors });
}
