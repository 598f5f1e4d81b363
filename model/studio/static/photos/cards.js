// Cards of the classes: a click shows the photos of a class; photos and files can be dropped on each.

import { element, replace } from "../elements.js";

export const DRAGGED = "application/x-topgraft-photos";

/** What a card stands for: a class, or the photos without a class, or the removed ones. */
export function sourcesOf(dataset, text) {
  const others = ["unlabelled", "removed"].filter((kind) => dataset[kind]);
  return [
    ...dataset.classes.map(({ name, photos, covers }) => ({ kind: "class", name, title: name, photos, covers })),
    ...others.map((kind) => ({ kind, name: "", title: text(`photos.${kind}`), photos: dataset[kind], covers: [] })),
  ];
}

/** Whether two sources are the same one. */
export function isSame(one, other) {
  return Boolean(one && other && one.kind === other.kind && one.name === other.name);
}

/** Query of the photos of a source. */
export function queryOf({ kind, name }) {
  return kind === "class" ? `class=${encodeURIComponent(name)}` : `kind=${kind}`;
}

/**
 * Draws the cards.
 * @param {Element} list - the list of cards.
 * @param {object} options - `sources`, `shown`, `editable`, `text`, `address(photo)`, `onshow(source)`, `onadd()`,
 *   `onphotos(source)` for dropped photos of the dataset, `onfiles(transfer, source)` for files of the computer.
 */
export function drawCards(list, options) {
  const { sources, editable, text } = options;
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const cards = sources.map((source) => card(source, options));
  if (editable) {
    cards.push(element("li", {}, element("button.new-class", { type: "button", onclick: options.onadd, dataset: { key: "new" } }, text("photos.new_class"))));
  }
  replace(list, cards);
  if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function card(source, options) {
  const { text, shown, address } = options;
  const count = text("photos.count", { count: source.photos });
  const covers = [0, 1, 2].map((index) =>
    source.covers[index] ? element("img", { src: address(source.covers[index]), alt: "", decoding: "async" }) : element("span", {}),
  );
  const show = element(
    "button.class-card",
    {
      type: "button",
      "aria-pressed": String(isSame(source, shown)),
      dataset: { key: `${source.kind} ${source.name}`, kind: source.kind },
      onclick: () => options.onshow(source),
    },
    source.kind === "class" ? element("span.covers", { "aria-hidden": "true" }, covers) : null,
    element("span.class-name", {}, source.title),
    element("span.class-count", {}, count),
  );
  return options.editable ? droppable(element("li", {}, show), source, options) : element("li", {}, show);
}

/** Accepts photos and files that are dropped on an element. */
function droppable(target, source, { onphotos, onfiles }) {
  const accepts = (event) => event.dataTransfer.types.some((type) => type === DRAGGED || (type === "Files" && source.kind !== "removed"));
  target.addEventListener("dragover", (event) => {
    if (!accepts(event)) return;
    event.preventDefault();
    event.stopPropagation();
    target.classList.add("over");
  });
  target.addEventListener("dragleave", (event) => target.contains(event.relatedTarget) || target.classList.remove("over"));
  target.addEventListener("drop", (event) => {
    target.classList.remove("over");
    if (!accepts(event)) return;
    event.preventDefault();
    event.stopPropagation();
    event.dataTransfer.types.includes(DRAGGED) ? onphotos(source) : onfiles(event.dataTransfer, source);
  });
  return target;
}
