// Classes that have another name in the dataset today than in a model.

import { element } from "./elements.js";

const SHOWN = 5;

/** The name that a class of a model has today. */
export function todays(model, name) {
  return model.renamed[name] ?? name;
}

/** The classes of a model by the names that they have today; merged ones once. */
export function todaysClasses(model) {
  return [...new Set(model.classes.map((name) => todays(model, name)))];
}

/** A sentence about the classes that were renamed since the training of a model; null if none was. */
export function renamedNote({ renamed }, { text }) {
  const pairs = Object.entries(renamed);
  if (!pairs.length) return null;
  const listed = pairs.slice(0, SHOWN).map(([name, now]) => `${name} → ${now}`);
  return element("p.soft", {}, text("app.renamed", { names: listed.join(", ") + (pairs.length > SHOWN ? " …" : "") }));
}
