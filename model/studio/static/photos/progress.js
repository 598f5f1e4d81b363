// Progress of the uploads of this tab, what was refused, and uploads that wait for their files.

import { button, element, replace } from "../elements.js";
import { english, messageOf } from "../messages.js";

/**
 * Draws the uploads of a dataset.
 * @param {Element} panel - where.
 * @param {Array} own - uploads of this tab, see uploads.js.
 * @param {Array} unfinished - uploads that the server has begun to receive, of any tab.
 * @param {object} options - `text`, `number`, `duration`, `onresume(upload)`, `onremove(upload)`, `oncancel(unfinished)`,
 *   `onmore(upload)` reads more of the files that were refused.
 */
export function drawUploads(panel, own, unfinished, options) {
  const known = new Set(own.map((upload) => upload.progress?.upload));
  const left = unfinished.filter(({ upload }) => !known.has(upload));
  panel.hidden = !own.length && !left.length;
  replace(panel, own.map((upload) => row(upload, options)), left.map((upload) => waiting(upload, options)));
}

function row(upload, options) {
  const { text } = options;
  const { progress, state } = upload;
  const count = progress?.files ?? upload.files.length;
  const bar = element("progress", { max: String(Math.max(1, upload.size)), value: String(progress?.received ?? 0), "aria-label": text("photos.uploading", { count }) });
  const end = upload.isActive
    ? button(text("app.cancel"), () => upload.cancel())
    : [
        state === "done" ? null : button(text("photos.resume"), () => options.onresume(upload)),
        button(text("app.close"), () => options.onremove(upload), { "aria-label": text("photos.close_upload") }),
      ];
  return element(
    "div.upload.panel",
    { dataset: { state } },
    element("p", { role: state === "failed" ? "alert" : null }, sentence(upload, count, options)),
    upload.isActive ? bar : null,
    state === "done" || state === "failed" ? refused(upload, options) : null,
    element("div.row", {}, end),
  );
}

function sentence(upload, count, { text, duration }) {
  const { progress, state, error } = upload;
  const arrived = progress?.arrived ?? 0;
  if (state === "done") return [text("photos.added", { count: progress.added }), progress.same ? ` ${text("photos.same", { count: progress.same })}` : ""];
  if (state === "failed") return [text("photos.upload_failed"), " ", messageOf(error)];
  if (state === "cancelled") return text("photos.upload_cancelled", { arrived, count });
  if (state === "waiting") return text("photos.upload_waiting", { arrived, count });
  const seconds = upload.secondsLeft;
  const left = seconds === null ? "" : ` ${text("photos.left", { duration: duration(seconds) })}`;
  return [text("photos.upload_progress", { arrived, count }), left];
}

function refused(upload, { text, onmore }) {
  const { progress } = upload;
  if (!progress?.refusals) return null;
  const { refusals } = progress;
  const listed = upload.refused ?? progress.refused;
  const left = refusals - listed.length;
  return element(
    "details",
    { open: upload.isOpen, ontoggle: (event) => (upload.isOpen = event.target.open) },
    element("summary", {}, text("photos.refused", { count: refusals })),
    element("ul", {}, listed.map(({ path, reason }) => element("li", {}, element("strong", {}, path), element("p.soft", {}, english(reason)))),
      left > 0 ? element("li", {}, button(text("photos.show_more", { count: left }), () => onmore(upload))) : null),
  );
}

function waiting(upload, { text, oncancel }) {
  return element(
    "div.upload.panel",
    {},
    element("p", {}, text("photos.unfinished", { arrived: upload.arrived, count: upload.files })),
    element("div.row", {}, button(text("photos.discard"), () => oncancel(upload))),
  );
}
