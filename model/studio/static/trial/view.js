// The view Try it: photos from files, the clipboard or the camera, their answers, and photos without labels to sort.

import { element, replace } from "../elements.js";
import { english, messageOf } from "../messages.js";
import { loadUntilDone, modelPath, modelView, problem } from "../models.js";
import { Queue } from "../page/queue.js";
import { classify } from "../page/service.js";
import { Answer } from "./answer.js";
import { drawSources } from "./sources.js";
import { drawSorting } from "./sorting.js";
import { userField } from "../user.js";

const CLASSES_SHOWN = 5;
const SIMILAR_SHOWN = 4;
const MAX_RUNNING = 2;
const SECONDS_BETWEEN_TRIES = 2;

export const view = modelView("try", draw);

function draw(parent, context, model) {
  const { text, request } = context;
  const sources = element("section", {});
  const notice = element("div", { "aria-live": "polite" });
  const answers = element("ol.answers", { "aria-label": text("try.answers") });
  const sorting = element("section.panel.sorting", { hidden: true });
  replace(parent, sources, userField(text), notice, answers, sorting);

  const shown = new Map();
  const ends = [];
  let described = null;
  let similar = SIMILAR_SHOWN;
  let waiting = 0;
  let ended = false;

  const queue = new Queue({ classify: ask, maxRunning: () => MAX_RUNNING, changed, paused });
  queue.resume();

  async function ask(photo, signal) {
    // Photos are asked about side by side: another one may have found that out meanwhile.
    const asked = similar;
    try {
      return await classify(photo, model, CLASSES_SHOWN, signal, asked);
    } catch (error) {
      // A model without the features of its training photos knows no similar ones.
      if (!asked || error.status < 400 || error.status >= 500 || !/neighbours/.test(error.message)) throw error;
      similar = 0;
      return classify(photo, model, CLASSES_SHOWN, signal);
    }
  }

  /** The service is starting, or was: the photos wait for it. */
  function paused(error) {
    replace(notice, problem(error.temporary ? text("try.waiting") : english(error.message)));
    waiting = setTimeout(() => {
      replace(notice);
      queue.resume();
    }, 1000 * SECONDS_BETWEEN_TRIES);
  }

  function changed(photo) {
    for (const one of photo ? [photo] : queue.photos) shown.get(one)?.update();
  }

  function add(photos) {
    if (!photos.length) return replace(notice, problem(text("try.no_photos")));
    replace(notice);
    const added = photos.map(({ file, name }) => ({ file, name, state: "waiting" }));
    for (const photo of added) {
      const answer = new Answer(photo, { ...context, model, described: () => described, retry: () => queue.restart([photo]) });
      shown.set(photo, answer);
      answers.prepend(answer.element);
    }
    queue.add(added);
  }

  async function load() {
    described = await request.get(modelPath(model));
    if (ended) return;
    replace(notice);
    for (const answer of shown.values()) answer.update();
    ends.push(drawSorting(sorting, described, context));
  }

  ends.push(drawSources(sources, context, model, add));
  ends.push(loadUntilDone(context, load, (error) => replace(notice, problem(messageOf(error)))));
  return () => {
    ended = true;
    clearTimeout(waiting);
    queue.clear();
    for (const answer of shown.values()) answer.end();
    for (const end of ends) end();
  };
}
