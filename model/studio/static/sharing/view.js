// The view Share: downloads of a model, programs that use it, and its publication.

import { element, replace } from "../elements.js";
import { modelView } from "../models.js";
import { drawDownloads } from "./downloads.js";
import { drawPublication } from "./publication.js";
import { drawPrograms } from "./programs.js";

export const view = modelView("share", (parent, context, model) => {
  const sections = ["downloads", "programs", "publication"].map((name) => element("section.panel", { id: name }));
  replace(parent, sections);
  const draws = [drawDownloads, drawPrograms, drawPublication];
  const ends = draws.map((draw, index) => draw(sections[index], model, context));
  return () => {
    for (const end of ends) end();
  };
});
