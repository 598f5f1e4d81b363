// Publishing: the steps that the command takes, their checks, and the public link.

import { button, element, replace } from "../elements.js";
import { english, messageOf } from "../messages.js";
import { loadUntilDone, modelPath, problem } from "../models.js";
import { watchTasks } from "../tasks.js";

const STEP = "step";
const FIELDS = ["title", "author", "license", "summary"];

/** Draws the form, the plan and its progress; returns what ends the view. */
export function drawPublication(parent, model, context) {
  const { text, request, announce } = context;
  const remotes = element("datalist", { id: "remotes" });
  const notice = element("div", {});
  const steps = element("ol.publish-steps", {});
  const result = element("div.published", {});
  const publish = button(text("share.publish"), () => send("/publication"), { disabled: true, class: "main" });
  const form = drawForm();
  let plan = [];
  let step = 0;

  replace(parent, element("h2", {}, text("share.publication")), element("p.soft", {}, text("share.publication_lead")), form, notice, steps, element("div.row", {}, publish), result);

  async function load() {
    const found = await request.get(modelPath(model, "/publication"));
    replace(notice);
    replace(remotes, found.remotes.map((name) => element("option", { value: `${name}:` })));
    const { elements } = form;
    if (!elements.to.value) elements.to.value = found.published ? found.published.place.replace(/\/?[^/:]*$/, "") : found.remotes.length ? `${found.remotes[0]}:` : "";
    if (found.problem) replace(notice, problem(english(found.problem)));
    else if (!found.remotes.length) replace(notice, element("p.soft", {}, text("share.no_remotes")));
    if (found.published) showLink(found.published);
  }

  function drawForm() {
    const field = (name, attributes = {}) => element("label.field", {}, text(name === "title" ? "share.title_field" : `share.${name}`), element("input", { name, maxlength: 1000, autocomplete: "off", ...attributes }));
    return element(
      "form.publish",
      { onsubmit: (event) => (event.preventDefault(), send("/publication/plan")), oninput: forget },
      field("to", { required: true, list: "remotes", placeholder: "rshare:models" }),
      FIELDS.map((name) => field(name)),
      field("expires", { type: "date" }),
      remotes,
      element("button.plain", {}, text("share.check")),
    );
  }

  /** Other options need another plan. */
  function forget() {
    plan = [];
    publish.disabled = true;
    replace(steps);
  }

  async function send(path) {
    replace(notice);
    const names = ["to", ...FIELDS, "expires"];
    const options = Object.fromEntries(names.map((name) => [name, form.elements[name].value]));
    try {
      show(await request.post(modelPath(model, path), options));
    } catch (error) {
      replace(notice, problem(messageOf(error)));
    }
  }

  function show(task) {
    const [kind] = task.key.split("/");
    const running = task.state === "running";
    for (const item of [...form.elements, publish]) item.disabled = running;
    publish.disabled = running || (!plan.length && kind === "plan" && task.state !== "done");
    if (task.state === "failed") replace(notice, problem(english(task.message)));
    if (kind === "plan" && task.state === "done") showPlan(task.result);
    if (kind === "publish") showProgress(task);
  }

  function showPlan(found) {
    plan = found.map((line) => line.replace(/^\d+\. /, ""));
    publish.disabled = false;
    replace(steps, plan.map((line) => element("li", {}, english(line))));
    announce(text("share.planned", { count: plan.length }));
  }

  function showProgress(task) {
    if (task.phase === STEP) step = task.done;
    [...steps.children].forEach((item, index) => {
      const done = task.state === "done" || index + 1 < step;
      item.dataset.state = done ? "done" : index + 1 === step ? task.state : "";
    });
    const current = steps.children[step - 1];
    current?.querySelector("progress")?.remove();
    if (task.state === "running" && task.phase !== STEP && task.total) current?.append(element("progress", { value: task.done, max: task.total, "aria-label": task.phase }));
    if (task.state !== "done") return;
    const { link, place, child, remarks } = task.result;
    announce(text("share.published"));
    showLink({ link: link.url, place, expires: link.expires, child: child?.directory, remarks, todo: child?.to_do });
  }

  function showLink({ link, place, expires, child, remarks = [], todo = [] }) {
    replace(
      result,
      element("p", {}, element("strong", {}, text("share.link")), " ", element("a", { href: link, rel: "noopener", target: "_blank" }, link)),
      element("p.soft", {}, text("share.place", { place }), expires ? ` · ${text("share.until", { day: expires })}` : ""),
      child && element("p.soft", {}, text("share.child", { folder: child })),
      remarks.map((one) => element("p.soft", {}, english(one))),
      todo?.length > 0 && [element("p", {}, text("share.to_do")), element("ol", {}, todo.map((one) => element("li", {}, english(one))))],
    );
  }

  const ends = [
    loadUntilDone(context, load, (error) => replace(notice, problem(messageOf(error)))),
    watchTasks(context, (key) => key === `plan/${model}` || key === `publish/${model}`, show),
  ];
  return () => ends.forEach((end) => end());
}
