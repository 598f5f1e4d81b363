// The name of the user, which the history of a dataset shows; this browser keeps it.

import { element } from "./elements.js";

const KEY = "topgraft user";

/** The header with the name, which requests send; none without a name. */
export function userHeader() {
  const name = localStorage.getItem(KEY);
  return name ? { "X-Topgraft-User": encodeURIComponent(name) } : {};
}

/** A field for the name. */
export function userField(text) {
  const keep = ({ target }) => localStorage.setItem(KEY, target.value.trim());
  return element(
    "label.field",
    {},
    text("app.user"),
    element("input", { name: "user", value: localStorage.getItem(KEY) ?? "", maxlength: 100, autocomplete: "nickname", oninput: keep }),
  );
}
