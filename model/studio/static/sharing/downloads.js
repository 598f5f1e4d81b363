// Downloads: each format is prepared once, in the background, and checked against the model.

import { button, element, replace } from "../elements.js";
import { english, messageOf } from "../messages.js";
import { loadUntilDone, modelPath, problem } from "../models.js";
import { watchTasks } from "../tasks.js";

const INT8 = "int8";

/** Draws a row for each format; returns what ends the view. */
export function drawDownloads(parent, model, context) {
  const { text, request } = context;
  const heading = element("h2", {}, text("share.downloads"));
  const rows = element("ul.downloads", {});
  const notice = element("div");
  let found = null;
  let requested = "";
  replace(parent, heading, element("p.soft", {}, text("share.downloads_lead")), rows, notice);

  async function load() {
    found = await request.get(modelPath(model, "/downloads"));
    replace(notice);
    draw();
  }

  async function prepare(format) {
    replace(notice);
    requested = format;
    try {
      show(await request.post(modelPath(model, `/download/${format}`)));
    } catch (error) {
      replace(notice, problem(messageOf(error)));
    }
  }

  function show(task) {
    const row = found?.formats.find(({ format }) => task.key === `download/${model}/${format}`);
    if (!row) return;
    Object.assign(row, { task, bytes: task.state === "done" ? task.result.bytes : row.bytes });
    draw();
    if (task.state !== "done" || requested !== row.format) return;
    requested = "";
    context.announce(text("share.ready", { name: row.file }));
    rows.querySelector(`[data-format="${row.format}"] a`)?.focus();
  }

  function draw() {
    replace(rows, found.formats.map(row), int8(found.precision));
  }

  function row({ format, file, bytes, task }) {
    const running = task?.state === "running";
    const action = running
      ? element("progress", { "aria-label": text("share.preparing", { name: file }), ...(task.total ? { value: task.done, max: task.total } : {}) })
      : bytes
        ? element("a.plain", { href: modelPath(model, `/download/${format}`), download: file }, text("share.download", { size: size(bytes, context) }))
        : button(text("share.prepare"), () => prepare(format), { "aria-label": text("share.prepare_format", { name: text(`share.${format}`) }) });
    return element(
      "li",
      { dataset: { format } },
      element("strong", {}, text(`share.${format}`)),
      element("span.soft", {}, text(`share.${format}_lead`)),
      element("span.action", {}, action),
      task?.state === "failed" && problem(english(task.message)),
    );
  }

  /** An int8 network is calibrated and checked by a training, which takes its features from the cache. */
  function int8(precision) {
    const action = precision === INT8 ? element("span.badge", {}, text("share.is_int8")) : button(text("share.make_int8"), train);
    return element("li", { dataset: { format: INT8 } }, element("strong", {}, text("share.int8")), element("span.soft", {}, text("share.int8_lead")), element("span.action", {}, action));
  }

  async function train({ target }) {
    target.disabled = true;
    try {
      const { options, dataset } = await request.get(modelPath(model));
      await request.post("/api/trainings", { ...options, dataset: dataset.name || dataset.path, precision: INT8 });
      context.navigate("training", dataset.name);
    } catch (error) {
      target.disabled = false;
      replace(notice, problem(messageOf(error)));
    }
  }

  const ends = [
    loadUntilDone(context, load, (error) => replace(notice, problem(messageOf(error)))),
    watchTasks(context, (key) => key.startsWith(`download/${model}/`), show),
  ];
  return () => ends.forEach((end) => end());
}

/** A size in megabytes, such as "13.3 MB". */
function size(bytes, { number }) {
  return number(bytes / 1e6, { style: "unit", unit: "megabyte", maximumFractionDigits: 1 });
}
