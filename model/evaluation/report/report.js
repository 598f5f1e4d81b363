"use strict";
// The script of every report. The page is complete without it; nothing here makes HTML of text, loads or stores.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const percent = (fraction) => `${(100 * fraction).toFixed(1)}%`;
const number = (value) => value.toLocaleString("en");
const counted = (value) => `${number(value)} ${value === 1 ? "photo" : "photos"}`;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Photos of a cell, a class, a bar or a range of confidence, in a dialog.

const lists = document.getElementById("photo-lists");
// Only those of the list: the dialog contains copies of them.
const cells = lists ? all(".cell", lists) : [];
const title = element("h2", { id: "shown-title", tabindex: "-1" });
const shown = element("div");
const close = element("button", { type: "button" }, "Close");
const dialog = element("dialog", { "aria-labelledby": "shown-title" }, close, title, shown);
document.body.append(dialog);
close.addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
// The event comes late: by then the dialog may show other photos.
dialog.addEventListener("close", () => { if (!dialog.open) shown.replaceChildren(); });

function show(heading, groups) {
  title.textContent = heading;
  shown.replaceChildren(...groups.map((group) => {
    const copy = group.cloneNode(true);
    copy.removeAttribute("id");
    return copy;
  }));
  const incomplete = document.getElementById("unlisted");
  if (incomplete) shown.append(element("p", {}, incomplete.textContent));
  else if (!groups.length) shown.append(element("p", {}, "No photos."));
  dialog.showModal();
  title.focus();
}

function photosOfRange(low, high) {
  const inside = (confidence) => confidence > low && confidence <= high;
  return cells.flatMap((cell) => {
    const kept = all("[data-c]", cell).filter((item) => inside(confidenceOf(item)));
    if (!kept.length) return [];
    const copy = cell.cloneNode(false);
    copy.removeAttribute("id");
    copy.append(cell.querySelector("h4").cloneNode(true));
    const list = element("ul", { class: "photos" });
    list.append(...kept.map((item) => item.cloneNode(true)));
    copy.append(list);
    return [copy];
  });
}

// The photos of a class, those predicted as it, or both.
function photosOfClass(number, sides = ["true", "predicted"]) {
  return cells.filter((cell) => sides.some((side) => cell.dataset[side] === number));
}

function open(target, heading) {
  const place = document.getElementById(target);
  if (!place) return false;
  show(heading, place.matches(".cell") ? [place] : photosOfClass(place.dataset.class));
  return true;
}

function makeButton(drawn, label, act) {
  drawn.setAttribute("tabindex", "0");
  drawn.setAttribute("role", "button");
  drawn.setAttribute("aria-label", label);
  drawn.addEventListener("click", act);
  drawn.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act();
  });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest && event.target.closest("a[data-photos]");
  if (!link) return;
  if (open(link.getAttribute("href").slice(1), link.dataset.photos)) event.preventDefault();
});

// The diagrams of a page without a list of photos are figures only.
for (const dot of lists ? all("[data-low]") : []) {
  const { low, high, label, heading } = dot.dataset;
  const range = `Confidence ${percent(Number(low))} to ${percent(Number(high))}`;
  dot.closest("svg").setAttribute("role", "group");
  makeButton(dot, label, () => show(heading || range, photosOfRange(Number(low), Number(high))));
}

if (lists) {
  for (const bar of all(".card svg")) {
    const label = `${bar.getAttribute("aria-label")}; show the incorrect predictions`;
    const incorrect = (cell) => cell.dataset.true !== cell.dataset.predicted;
    makeButton(bar, label, () => show("Incorrect predictions", cells.filter(incorrect)));
  }
  for (const bar of all("table.sortable .meter")) {
    const { cellIndex: column, parentElement: row } = bar.closest("td");
    const link = row.querySelector("a[data-photos]");
    if (!link) continue;
    const { metric, sides } = bar.closest("table").tHead.rows[0].cells[column].dataset;
    const heading = `${link.dataset.photos}: photos behind the ${metric}`;
    const number = document.getElementById(link.getAttribute("href").slice(1))?.dataset.class;
    makeButton(bar, heading, () => show(heading, photosOfClass(number, sides.split(" "))));
  }
}

// One stop of the Tab key for the whole matrix; the arrow keys move inside it.

for (const matrix of all("svg.matrix")) {
  const links = all("a", matrix);
  const position = (cell) => [Number(cell.dataset.row), Number(cell.dataset.column)];
  links.forEach((link, index) => link.setAttribute("tabindex", index ? "-1" : "0"));
  const nearest = (allowed, distance) => links
    .filter((cell) => allowed(position(cell)))
    .sort((one, other) => distance(position(one)) - distance(position(other)))[0];
  matrix.addEventListener("keydown", (event) => {
    const current = event.target.closest("a");
    if (!current) return;
    const [row, column] = position(current);
    const down = ([y, x]) => 1000 * Math.abs(y - row) + Math.abs(x - column);
    const across = ([, x]) => Math.abs(x - column);
    const next = {
      ArrowRight: () => nearest(([y, x]) => y === row && x > column, across),
      ArrowLeft: () => nearest(([y, x]) => y === row && x < column, across),
      ArrowDown: () => nearest(([y]) => y > row, down),
      ArrowUp: () => nearest(([y]) => y < row, down),
    }[event.key];
    const found = next && next();
    if (!found) return;
    event.preventDefault();
    current.setAttribute("tabindex", "-1");
    found.setAttribute("tabindex", "0");
    found.focus();
  });
}

// The photo of a point on the map: at the pointer, and for the arrow keys.

for (const map of all("svg.map")) {
  const points = all("g", map);
  const tip = element("figure", { id: "tip", "aria-live": "polite" });
  tip.hidden = true;
  document.body.append(tip);
  const caption = (point) => point.querySelector("title").textContent;
  map.setAttribute("role", "group");
  points.forEach((point, index) => {
    point.setAttribute("tabindex", index ? "-1" : "0");
    point.setAttribute("role", "img");
    point.setAttribute("aria-label", caption(point));
  });
  const show = (point) => {
    const box = point.getBoundingClientRect();
    tip.replaceChildren();
    const thumbnail = point.dataset.t && document.querySelector(`image#${point.dataset.t}`);
    if (thumbnail) {
      tip.append(element("img", { src: thumbnail.getAttribute("href"), alt: "" }), element("br"));
    }
    tip.append(caption(point));
    tip.hidden = false;
    const left = Math.min(box.right + 10, innerWidth - tip.offsetWidth - 8);
    const top = Math.min(box.bottom + 10, innerHeight - tip.offsetHeight - 8);
    tip.style.left = `${Math.max(0, left)}px`;
    tip.style.top = `${Math.max(0, top)}px`;
  };
  const hide = () => { tip.hidden = true; };
  map.addEventListener("pointerover", (event) => {
    const point = event.target.closest("g");
    if (point) show(point); else hide();
  });
  map.addEventListener("pointerleave", hide);
  map.addEventListener("focusin", (event) => { if (event.target.matches("g")) show(event.target); });
  map.addEventListener("focusout", hide);
  map.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const next = step && points[points.indexOf(event.target) + step];
    if (event.key === "Escape") hide();
    if (!next) return;
    event.preventDefault();
    event.target.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
}

// Tables that can be sorted by a column.

// Comparing texts would compare the digits after a decimal point as whole numbers: .9 before .842.
const isNumber = (text) => text !== "" && Number.isFinite(Number(text));
function compareValues(one, other) {
  if (isNumber(one) && isNumber(other)) return Number(one) - Number(other);
  return one.localeCompare(other, undefined, { numeric: true });
}

for (const table of all("table.sortable")) {
  const [body] = table.tBodies;
  all("th", table.tHead).forEach((head, column) => {
    const button = element("button", { type: "button", class: "sort" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      all("th", table.tHead).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
      const rows = [...body.rows].sort((one, other) => compareValues(value(one), value(other)));
      body.append(...(ascending ? rows : rows.reverse()));
    });
  });
}

// The confidence threshold: how many predictions it accepts, and how many of those are correct.

function confidenceOf(item) {
  // As the library compares it: in single precision.
  return Math.fround(Number(item.dataset.c));
}

function unlisted(counts, correct) {
  // Photos that are not on the page, by the highest position of the slider that accepts them.
  return (counts || "").split(" ").filter(Boolean).map((text) => {
    const [step, count] = text.split(":").map(Number);
    return { confidence: step / 1000, correct, count };
  });
}

const total = (photos) => photos.reduce((sum, photo) => sum + photo.count, 0);

const explorer = document.getElementById("explorer");
if (explorer) {
  const { correct: right, incorrect: wrong } = lists.dataset;
  const photos = cells.flatMap((cell) => all("[data-c]", cell).map((item) => {
    const correct = cell.dataset.true === cell.dataset.predicted;
    return { confidence: confidenceOf(item), correct, count: 1 };
  })).concat(unlisted(right, true), unlisted(wrong, false));
  const every = total(photos);
  const slider = explorer.querySelector("input");
  const result = explorer.querySelector("output");
  const update = () => {
    const threshold = Number(slider.value);
    const accepted = photos.filter((photo) => photo.confidence >= threshold);
    const count = total(accepted), correct = total(accepted.filter((photo) => photo.correct));
    const accuracy = count ? percent(correct / count) : "–";
    result.value = `Threshold ${threshold.toFixed(3)}: coverage ${percent(count / every)} `
      + `(${number(count)} of ${counted(every)}), accuracy of these ${accuracy}, `
      + `${counted(every - count)} to review by hand.`;
  };
  slider.addEventListener("input", update);
  explorer.hidden = false;
  update();
}
