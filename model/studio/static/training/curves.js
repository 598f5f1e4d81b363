// Learning curves: validation accuracy, and loss on training and validation photos, by epoch.

import { element, svg } from "../elements.js";

const WIDTH = 460;
const HEIGHT = 200;
const LEFT = 46;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 34;

/** @param {object[]} rows - epochs of a training: phase, epoch, loss, val_loss, val_accuracy. */
export function curveChart({ text, number }, rows) {
  const accuracy = [{ name: text("training.val_accuracy"), values: rows.map((row) => row.val_accuracy), kind: "first" }];
  const loss = [
    { name: text("training.val_loss"), values: rows.map((row) => row.val_loss), kind: "first" },
    { name: text("training.train_loss"), values: rows.map((row) => row.loss), kind: "second" },
  ];
  const tuned = rows.findIndex((row) => row.phase === "fine_tune");
  const percent = (value) => number(value, { style: "percent" });
  return element(
    "div.charts",
    {},
    figure(text("training.val_accuracy"), accuracy, [floorOf(accuracy[0].values), 1], percent, tuned, text),
    figure(text("training.loss"), loss, [0, highest(loss)], (value) => number(value, { maximumSignificantDigits: 2 }), tuned, text),
  );
}

function figure(title, series, [low, high], format, tuned, text) {
  const count = series[0].values.length;
  const x = (index) => LEFT + (index / Math.max(1, count - 1)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
  const ticks = [0, 0.5, 1].map((part) => low + part * (high - low));
  const last = series.map(({ name, values }) => `${name} ${format(values.at(-1))}`).join(", ");
  return element(
    "figure",
    {},
    element("figcaption", {}, series.map(({ name, kind }) => element("span.key", { class: kind }, name))),
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${last}` },
      ticks.map((value) => [
        svg("path", { class: "grid", d: `M${LEFT} ${y(value)}H${WIDTH - RIGHT}` }),
        svg("text", { x: LEFT - 7, y: y(value) + 4, "text-anchor": "end" }, format(value)),
      ]),
      svg("text", { x: LEFT, y: HEIGHT - 12, "text-anchor": "start" }, "1"),
      svg("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 12, "text-anchor": "middle" }, text("training.epoch")),
      svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 12, "text-anchor": "end" }, String(count)),
      tuned > 0 && svg("path", { class: "begin", d: `M${x(tuned)} ${TOP}V${HEIGHT - BOTTOM}` }),
      series.map(({ values, kind }) => svg("polyline", { class: kind, points: points(values, x, y) })),
    ),
  );
}

function points(values, x, y) {
  return values.map((value, index) => (Number.isFinite(value) ? `${x(index).toFixed(1)},${y(value).toFixed(1)}` : "")).join(" ");
}

function floorOf(values) {
  return Math.floor(10 * Math.min(...values.filter(Number.isFinite), 1)) / 10;
}

function highest(series) {
  return 1.05 * Math.max(...series.flatMap(({ values }) => values.filter(Number.isFinite)), 0.1);
}
