// The views, in the order of the navigation. `of` says what a view shows: a dataset or a model.

export const VIEWS = [
  { name: "training", of: "dataset", load: () => import("./training/view.js") },
];
