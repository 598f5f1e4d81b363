// Dialogs: questions for a name or a choice, the history, and a photo in full size.

import { element, replace } from "../elements.js";
import { messageOf } from "../messages.js";
import { userField } from "../user.js";

/**
 * Asks for a text, or for one of some choices.
 * @param {object} options - `title`, `label`, `accept` (text of the button), `cancel`, `value`, `choices` (instead of a
 *   text), `hint`, and `work(value)`, which is done before the dialog closes; its error is shown in the dialog.
 */
export function ask({ title, label, accept, cancel, value = "", choices, hint, work }) {
  const field = choices
    ? element("select", { name: "value" }, choices.map((choice) => element("option", { value: choice }, choice)))
    : element("input", { name: "value", value, maxlength: "200", autocomplete: "off", spellcheck: "false", required: true });
  const problem = element("p.problem", { role: "alert", hidden: true });
  const confirm = element("button.main", {}, accept);
  const dialog = element(
    "dialog.ask",
    { "aria-labelledby": "ask-title" },
    element("h2", { id: "ask-title" }, title),
    element(
      "form.asking",
      { method: "dialog", onsubmit: submit },
      element("label.field", {}, label, field),
      hint ? element("p.soft", {}, hint) : null,
      problem,
      element("div.row", {}, element("button.plain", { type: "button", onclick: () => dialog.close() }, cancel), confirm),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  field.focus();
  field.select?.();

  async function submit(event) {
    event.preventDefault();
    confirm.disabled = true;
    problem.hidden = true;
    try {
      await work(field.value);
      dialog.close();
    } catch (error) {
      replace(problem, messageOf(error));
      problem.hidden = false;
      confirm.disabled = false;
      field.focus();
    }
  }
}

/**
 * Shows the changes of a dataset, the last one first.
 * @param {(offset: number) => Promise<{total: number, changes: object[]}>} read - reads those after the first `offset`.
 */
export async function showHistory(read, text) {
  const moment = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  const row = ({ at, kind, photos, by, model, answer, names, is_undo: isUndo }) => {
    const facts = [names.join(" → "), moment.format(new Date(at)), by, model && text(answer ? "photos.against_model" : "photos.by_model", { model, answer })];
    return element(
      "li",
      {},
      element("strong", {}, text(isUndo ? "photos.done_undo" : `photos.done_${kind}`, { count: photos })),
      element("p.soft", {}, facts.filter(Boolean).join(" · ")),
    );
  };
  const list = element("ol", { tabindex: "0", "aria-labelledby": "history-title" });
  const more = element("button.plain", { type: "button", onclick: () => add().catch(fail) });
  const problem = element("p.problem", { role: "alert", hidden: true });
  await add();
  const dialog = element(
    "dialog.history",
    { "aria-labelledby": "history-title" },
    element("h2", { id: "history-title" }, text("photos.history")),
    userField(text),
    list,
    problem,
    element("form.row", { method: "dialog" }, more, element("button.main", {}, text("app.close"))),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();

  async function add() {
    const { total, changes } = await read(list.childElementCount);
    list.append(...changes.map(row));
    const left = total - list.childElementCount;
    more.hidden = left <= 0;
    more.textContent = text("photos.earlier", { count: left });
  }

  function fail(error) {
    replace(problem, messageOf(error));
    problem.hidden = false;
  }
}

/** Shows a photo in full size; the arrow keys go to its neighbours. */
export function showPhoto(photos, photo, { address, text, onend }) {
  let index = photos.indexOf(photo);
  const image = element("img", { alt: "" });
  const name = element("h2", { id: "photo-title" });
  const step = (by) => draw(Math.min(photos.length - 1, Math.max(0, index + by)));
  const dialog = element(
    "dialog.large-photo",
    { "aria-labelledby": "photo-title", onkeydown: (event) => (event.key === "ArrowLeft" ? step(-1) : event.key === "ArrowRight" ? step(1) : null) },
    name,
    image,
    element(
      "div.row",
      {},
      element("button.plain", { type: "button", onclick: () => step(-1) }, text("photos.previous")),
      element("button.plain", { type: "button", onclick: () => step(1) }, text("photos.next")),
      element("button.main", { type: "button", onclick: () => dialog.close() }, text("app.close")),
    ),
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    onend(photos[index]);
  });
  document.body.append(dialog);
  draw(index);
  dialog.showModal();

  function draw(next) {
    index = next;
    image.src = address(photos[index]);
    name.textContent = photos[index].split("/").pop();
    image.alt = photos[index];
  }
}
