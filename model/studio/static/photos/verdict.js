// The verdict beside the photos: what a training would meet, and the photos that it concerns.

import { element, replace } from "../elements.js";
import { english } from "../messages.js";

const SHOWN = 5;

/**
 * Draws the verdict.
 * @param {Element} panel - where.
 * @param {object} found - `verdict`, `checking`.
 * @param {object} options - `text`, `address(photo)`, `onphoto(photo)` shows a photo, `ontrain()`; `mayTrain` says
 *   whether a training can be started before the first verdict: it checks the photos itself.
 */
export function drawVerdict(panel, { verdict, checking }, options) {
  const { text } = options;
  const state = checking || !verdict ? element("p.soft", { role: "status" }, text("photos.checking")) : null;
  const train = element("button.main", { type: "button", onclick: options.ontrain }, text("photos.train"));
  if (!verdict) return replace(panel, heading(text), state, options.mayTrain ? train : null);
  const ready = verdict.ready;
  replace(
    panel,
    heading(text),
    element("p.conclusion", { dataset: { ready: String(ready) } }, text(conclusionOf(verdict))),
    verdict.problem ? element("p.soft", {}, english(verdict.problem)) : null,
    state,
    ready ? train : null,
    findingsOf(verdict, options),
  );
}

function heading(text) {
  return element("h2", {}, text("photos.verdict"));
}

/** The key of the sentence that says whether training makes sense. */
function conclusionOf({ problem, missing, counts }) {
  if (problem) return "photos.problem";
  if (missing) return `photos.missing_${missing}`;
  const doubts = counts.unreadable + counts.conflicts;
  return doubts ? "photos.ready_with_doubts" : "photos.ready";
}

function findingsOf(verdict, options) {
  const { text } = options;
  const { counts, few, imbalance, remarks } = verdict;
  if (!counts) return null;
  const findings = [];
  if (counts.unreadable) findings.push(finding(text("photos.unreadable", { count: counts.unreadable }), unreadable(verdict, options), true));
  if (counts.conflicts) findings.push(finding(text("photos.conflicts", { count: counts.conflicts }), groups(verdict.conflicts, options), true));
  if (counts.duplicates) findings.push(finding(text("photos.duplicates", { count: counts.duplicates }), groups(verdict.duplicates, options)));
  if (few.length && !verdict.missing) findings.push(finding(text("photos.few", { count: few.length }), names(few)));
  if (imbalance) {
    const [largest, smallest] = imbalance;
    const values = { largest, smallest, most: verdict.classes[largest], least: verdict.classes[smallest] };
    findings.push(finding(text("photos.imbalance", values), null));
  }
  for (const remark of remarks) findings.push(finding(english(remark), null));
  return element("ul.findings", {}, findings);
}

function finding(sentence, details, open = false) {
  if (!details) return element("li", {}, element("p", {}, sentence));
  return element("li", {}, element("details", { open }, element("summary", {}, sentence), details));
}

function unreadable({ unreadable: photos }, options) {
  const row = ([photo, reason]) => element("li", {}, link(photo, options), element("p.soft", {}, english(reason)));
  return limited(photos, row, options);
}

function groups(found, options) {
  return limited(found, (photos) => element("li.group", {}, photos.slice(0, 6).map((photo) => thumbnail(photo, options))), options);
}

function limited(items, row, { text }) {
  const more = items.length - SHOWN;
  return element("ul", {}, items.slice(0, SHOWN).map(row), more > 0 ? element("li.soft", {}, text("photos.more", { count: more })) : null);
}

function names(classes) {
  return element("p.soft", {}, classes.slice(0, 20).join(", "), classes.length > 20 ? " …" : "");
}

function link(photo, { onphoto }) {
  return element("button.photo-link", { type: "button", onclick: () => onphoto(photo) }, photo);
}

function thumbnail(photo, { address, onphoto }) {
  const [folder, ...rest] = photo.split("/");
  const image = element("img", { src: address(photo), alt: "", decoding: "async" });
  return element("button.group-photo", { type: "button", title: photo, onclick: () => onphoto(photo) }, image, element("span", {}, folder), element("span.screen-reader", {}, rest.join("/")));
}
