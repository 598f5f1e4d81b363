// Thumbnails of any number of photos: only those in sight are elements. Selected by click, keyboard and range.

import { element } from "../elements.js";

const CELL = 100;
const GAP = 8;
const ROWS_AROUND = 2;

/** A list of thumbnails; `selected` is a set of paths. */
export class Grid {
  photos = [];
  selected = new Set();
  #cells = new Map();
  #active = 0;
  #anchor = 0;
  #columns = 1;
  #size = 0;
  #frame = 0;
  #observer;

  /**
   * @param {object} options - `label`, `address(photo)` of a thumbnail, `onselect()`, `onopen(photo)`, `onkey(event)` for
   *   keys of the view, `ondrag(event)` when selected photos are dragged.
   */
  constructor(options) {
    this.options = options;
    this.content = element("div.grid-content", { role: "presentation" });
    this.list = element(
      "div.grid",
      {
        role: "listbox",
        tabindex: "0",
        "aria-multiselectable": "true",
        "aria-label": options.label,
        onkeydown: (event) => this.#press(event),
        onscroll: () => this.#schedule(),
        onclick: (event) => this.#click(event),
        ondblclick: (event) => this.#withCell(event, (index) => options.onopen(this.photos[index])),
        ondragstart: (event) => this.#drag(event),
      },
      this.content,
    );
    this.#observer = new ResizeObserver(() => this.#schedule());
    this.#observer.observe(this.list);
  }

  end() {
    this.#observer.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  /** Shows these photos; those that stay selected are the ones that are still there. */
  show(photos, keepsPlace) {
    this.photos = photos;
    const known = new Set(photos);
    this.selected = new Set(keepsPlace ? [...this.selected].filter((photo) => known.has(photo)) : []);
    this.#active = keepsPlace ? Math.min(this.#active, Math.max(0, photos.length - 1)) : 0;
    this.#anchor = this.#active;
    for (const cell of this.#cells.values()) cell.remove();
    this.#cells.clear();
    if (!keepsPlace) this.list.scrollTop = 0;
    this.#draw();
    this.options.onselect();
  }

  selectAll() {
    this.selected = new Set(this.photos);
    this.#changed();
  }

  clear() {
    this.selected.clear();
    this.#changed();
  }

  /** Selects a photo, scrolls to it and gives it the focus. */
  reveal(photo) {
    const index = this.photos.indexOf(photo);
    if (index < 0) return;
    this.#select(index, "one");
    this.list.focus();
  }

  #schedule() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => ((this.#frame = 0), this.#draw()));
  }

  #draw() {
    const width = this.content.clientWidth || this.list.clientWidth;
    const columns = Math.max(1, Math.floor((width + GAP) / (CELL + GAP)));
    const size = (width - (columns - 1) * GAP) / columns;
    const row = size + GAP;
    const isMoved = size !== this.#size || columns !== this.#columns;
    this.#size = size;
    this.#columns = columns;
    this.content.style.height = `${Math.ceil(this.photos.length / columns) * row}px`;
    const first = Math.max(0, Math.floor(this.list.scrollTop / row) - ROWS_AROUND) * columns;
    const end = Math.ceil((this.list.scrollTop + this.list.clientHeight) / row + ROWS_AROUND) * columns;
    const last = Math.min(this.photos.length, end);
    for (const [index, cell] of this.#cells) {
      if (index < first || index >= last) {
        cell.remove();
        this.#cells.delete(index);
      }
    }
    const added = document.createDocumentFragment();
    for (let index = first; index < last; index++) {
      let cell = this.#cells.get(index);
      const isNew = !cell;
      if (isNew) {
        this.#cells.set(index, (cell = this.#cell(index)));
        added.append(cell);
      }
      if (!isNew && !isMoved) continue;
      cell.style.width = cell.style.height = `${size}px`;
      cell.style.transform = `translate(${(index % columns) * row}px, ${Math.floor(index / columns) * row}px)`;
    }
    this.content.append(added);
    this.#mark();
  }

  #cell(index) {
    const photo = this.photos[index];
    const name = photo.split("/").pop();
    const image = element("img", { alt: "", decoding: "async", draggable: "false", src: this.options.address(photo) });
    image.addEventListener("error", () => image.replaceWith(element("span.broken", { "aria-hidden": "true" }, "!")));
    const cell = element(
      "div.cell",
      {
        role: "option",
        id: `photo-${index}`,
        draggable: "true",
        title: name,
        "aria-label": name,
        "aria-posinset": index + 1,
        "aria-setsize": this.photos.length,
        dataset: { index },
      },
      image,
    );
    return cell;
  }

  #mark() {
    for (const [index, cell] of this.#cells) {
      const selected = String(this.selected.has(this.photos[index]));
      if (cell.getAttribute("aria-selected") !== selected) cell.setAttribute("aria-selected", selected);
      cell.classList.toggle("active", index === this.#active);
    }
    const active = this.#cells.get(this.#active);
    if (active) this.list.setAttribute("aria-activedescendant", active.id);
    else this.list.removeAttribute("aria-activedescendant");
  }

  #changed() {
    this.#mark();
    this.options.onselect();
  }

  /** @param {string} how - "one" only this photo, "range" all from the last one, "toggle" this one besides. */
  #select(index, how) {
    const photo = this.photos[index];
    if (how === "toggle") this.selected.has(photo) ? this.selected.delete(photo) : this.selected.add(photo);
    else {
      const [from, to] = how === "range" ? [Math.min(this.#anchor, index), Math.max(this.#anchor, index)] : [index, index];
      this.selected = new Set(this.photos.slice(from, to + 1));
    }
    if (how !== "range") this.#anchor = index;
    this.#active = index;
    this.#scrollTo(index);
    this.#changed();
  }

  #scrollTo(index) {
    const height = this.content.clientHeight / Math.max(1, Math.ceil(this.photos.length / this.#columns));
    const top = Math.floor(index / this.#columns) * height;
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    else if (top + height > this.list.scrollTop + this.list.clientHeight) this.list.scrollTop = top + height - this.list.clientHeight;
    this.#draw();
  }

  #withCell(event, act) {
    const cell = event.target.closest(".cell");
    if (cell) act(Number(cell.dataset.index));
  }

  #click(event) {
    const isTouch = matchMedia("(pointer: coarse)").matches;
    this.#withCell(event, (index) => this.#select(index, event.shiftKey ? "range" : event.ctrlKey || event.metaKey || isTouch ? "toggle" : "one"));
  }

  #drag(event) {
    this.#withCell(event, (index) => {
      if (!this.selected.has(this.photos[index])) this.#select(index, "one");
      this.options.ondrag(event);
    });
  }

  #press(event) {
    const page = this.#columns * Math.max(1, Math.floor(this.list.clientHeight / (CELL + GAP)));
    const last = this.photos.length - 1;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.#columns, ArrowDown: this.#columns, PageUp: -page, PageDown: page, Home: -last, End: last };
    if (last < 0) return;
    if (event.key in steps && !event.altKey) {
      const index = Math.min(last, Math.max(0, this.#active + steps[event.key]));
      this.#select(index, event.shiftKey ? "range" : "one");
    } else if (event.key === " ") this.#select(this.#active, "toggle");
    else if (event.key === "Enter") this.options.onopen(this.photos[this.#active]);
    else if (event.key === "a" && (event.ctrlKey || event.metaKey)) this.selectAll();
    else if (event.key === "Escape") this.clear();
    else return this.options.onkey(event);
    event.preventDefault();
  }
}
