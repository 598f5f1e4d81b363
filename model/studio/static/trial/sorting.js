// Photos without a label, sorted by the keyboard: the least certain first, the next ones already loaded.

import { button, element, replace } from "../elements.js";
import { watchLetters } from "../letters.js";
import { messageOf } from "../messages.js";
import { problem } from "../models.js";
import { renamedNote, todaysClasses } from "../renamed.js";
import { watchTasks } from "../tasks.js";
import { SortingQueue } from "./sorting_queue.js";

const DIGITS = 9;

/** Draws the panel for the dataset of the model, if it has photos without labels; returns what ends it. */
export function drawSorting(parent, model, context) {
  const { text, request } = context;
  const dataset = model.dataset.name;
  if (!dataset) return () => {};
  const queue = new SortingQueue(request, dataset, model.name);
  const classes = todaysClasses(model);
  const heading = element("h2", {}, text("try.sort"));
  const main = document.querySelector("#main");
  let open = false;
  let started = 0;
  let message = "";
  let undoing = 0;

  async function load() {
    const before = queue.current;
    try {
      await queue.load();
      parent.hidden = !queue.total && !queue.sorted;
      if (!open) drawClosed();
      else if (isSame(before, queue.current) || isTyping()) drawCounts();
      else draw();
    } catch (error) {
      message = messageOf(error);
      if (open) draw();
    }
  }

  /** Whether the photo that is shown has no new suggestion. */
  function isSame(before, now) {
    return before?.photo === now?.photo && before?.labels.length === now?.labels.length;
  }

  function isTyping() {
    return Boolean(parent.querySelector("input:focus")?.value);
  }

  function drawClosed() {
    replace(parent, heading, element("p.soft", {}, text("try.sort_lead", { count: queue.total })), element("div.row", {}, button(text("try.sort_start"), start, { class: "main" })));
  }

  async function start() {
    open = true;
    started = performance.now();
    main.dataset.keys = "digits";
    queue.predict().catch((error) => (message = messageOf(error)));
    draw();
    parent.scrollIntoView({ block: "start" });
  }

  function stop() {
    open = false;
    delete main.dataset.keys;
    load();
  }

  function draw() {
    if (!queue.current && queue.left && !message) {
      replace(parent, heading, element("p.soft", {}, text("result.loading")), element("div.row", {}, button(text("try.sort_stop"), stop)));
      return;
    }
    if (!queue.current) {
      replace(parent, heading, element("p", {}, text("try.sorted_all", { count: queue.sorted })), message && problem(message), element("div.row", {}, queue.sorted > 0 && undoButton(), button(text("try.sort_stop"), stop)));
      return;
    }
    const choices = queue.choices(classes, DIGITS);
    const image = queue.image();
    image.alt = text("try.unsorted_photo");
    replace(
      parent,
      heading,
      counts,
      renamedNote(model, context),
      element(
        "div.unsorted",
        {},
        element("div.photo", {}, image),
        element("div.sort-classes", {}, choices.map(choice), other(), element("div.row", {}, button([element("kbd", {}, "S"), text("result.skip")], skip), undoButton(), button(text("try.sort_stop"), stop))),
      ),
      message && problem(message),
    );
    message = "";
    drawCounts();
  }

  const counts = element("p.soft", { "aria-live": "off" });

  function drawCounts() {
    const hours = (performance.now() - started) / 3_600_000;
    const pace = queue.sorted > 4 ? ` · ${text("try.pace", { count: Math.round(queue.sorted / hours) })}` : "";
    counts.textContent = `${text("try.left", { count: queue.left })} · ${text("try.sorted", { count: queue.sorted })}${pace}`;
  }

  function choice({ name, probability, key }) {
    const label = [element("kbd", {}, name === queue.current.labels[0] ? `${key} ↵` : key), element("bdi", {}, name)];
    const share = probability === undefined ? null : element("span.probability", {}, context.number(probability, { style: "percent" }));
    return element("button.plain.sort-class", { type: "button", onclick: () => choose(name), style: { "--fraction": `${100 * (probability ?? 0)}%` } }, label, share);
  }

  function other() {
    const choose_typed = (event) => {
      event.preventDefault();
      const name = event.target.elements.name.value.trim();
      if (name) choose(name);
    };
    return element(
      "form.row",
      { onsubmit: choose_typed },
      element("label.field.grow", {}, text("try.other"), element("input", { name: "name", list: "sorting-classes", maxlength: 120, autocomplete: "off", onkeydown: (event) => event.key === "Escape" && event.target.blur() })),
      element("datalist", { id: "sorting-classes" }, classes.map((name) => element("option", { value: name }))),
    );
  }

  function undoButton() {
    return button([element("kbd", {}, "U"), text("result.undo_label")], undo, { disabled: !queue.sorted });
  }

  function choose(name) {
    if (undoing) return;
    const sorted = queue.choose(name);
    draw();
    sorted.catch((error) => {
      message = messageOf(error);
      draw();
    });
  }

  function skip() {
    if (undoing) return;
    queue.skip();
    draw();
  }

  /** Until the photo is back, no other decision is taken: it would be about the photo that is still shown. */
  async function undo() {
    if (undoing >= queue.sorted) return;
    undoing += 1;
    try {
      await queue.undo();
    } catch (error) {
      message = messageOf(error);
    }
    undoing -= 1;
    draw();
  }

  function press(key) {
    if (!open) return false;
    const choices = queue.current ? queue.choices(classes, DIGITS) : [];
    const chosen = choices.find((one) => one.key === key) ?? (key === "Enter" && queue.current?.labels.length ? choices.find(({ name }) => name === queue.current.labels[0]) : null);
    if (key === "Enter" && document.activeElement?.matches("button, a")) return false;
    if (chosen) choose(chosen.name);
    else if (key === "s" && queue.current) skip();
    else if (key === "u" && queue.sorted) undo();
    else if (key === "/") parent.querySelector("input")?.focus();
    else if (key === "Escape") stop();
    else return false;
    return true;
  }

  const ends = [
    watchLetters(parent, press),
    watchTasks(context, (key) => key === `predict/${dataset}/${model.name}`, () => load()),
    context.events.on("dataset", () => load()),
  ];
  load();
  return () => {
    delete main.dataset.keys;
    for (const end of ends) end();
  };
}
