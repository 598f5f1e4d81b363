// Dialogs: questions for a name or a choice, the history, and a photo in full size.

import { element } from "../elements.js";

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
      problem.textContent = error.message;
      problem.hidden = false;
      confirm.disabled = false;
      field.focus();
    }
  }
}

/** Shows the changes of a dataset, the last one first. */
export function showHistory(changes, text) {
  const moment = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  const row = ({ at, kind, steps, by, model, undoes }) => {
    const facts = [moment.format(new Date(at)), by, model && text("photos.by_model", { model })];
    return element(
      "li",
      {},
      element("strong", {}, text(undoes.length ? "photos.done_undo" : `photos.done_${kind}`, { count: steps })),
      element("p.soft", {}, facts.filter(Boolean).join(" · ")),
    );
  };
  const dialog = element(
    "dialog.history",
    { "aria-labelledby": "history-title" },
    element("h2", { id: "history-title" }, text("photos.history")),
    element("ol", { tabindex: "0", "aria-labelledby": "history-title" }, changes.map(row)),
    element("form", { method: "dialog" }, element("button.main", {}, text("app.close"))),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
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
