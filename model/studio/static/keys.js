// Keys: ? shows the list, the numbers go to the views; a view adds its own by `context.keys`.

import { element } from "./elements.js";

/** Listens to the keys of the application, and shows the list of all keys. */
export function watchKeys(context, views) {
  const { text } = context;
  const dialog = element("dialog.keys", { "aria-labelledby": "keys-title" });
  document.body.append(dialog);
  const open = () => {
    const current = document.querySelector("#main").dataset.view;
    const rows = [
      ...views.map(({ name }, index) => [String(index + 1), text(`${name}.name`)]),
      ["?", text("app.keys")],
      ...keysOf(text(`${current}.keys`), `${current}.keys`),
    ];
    dialog.replaceChildren(
      element("h2", { id: "keys-title" }, text("app.keys")),
      element("dl", {}, rows.map(([key, meaning]) => element("div", {}, element("dt", {}, element("kbd", {}, key)), element("dd", {}, meaning)))),
      element("form", { method: "dialog" }, element("button.main", {}, text("app.close"))),
    );
    dialog.showModal();
  };
  const shows = document.querySelector("#show-keys");
  shows.addEventListener("click", open);
  shows.hidden = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const view = views[Number(event.key) - 1];
    if (event.key === "?") open();
    else if (view && document.querySelector("#main").dataset.keys !== "digits") context.navigate(view.name);
  });
}

/** The keys of a view, of a text such as "Enter: train; Escape: close". */
function keysOf(described, key) {
  if (described === key) return [];
  return described.split("; ").map((one) => one.split(": "));
}

function isTyping(target) {
  return target.matches?.("input, textarea, select, [contenteditable]");
}
