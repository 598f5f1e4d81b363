// The views, in the order of the navigation. `of` says what a view shows: a dataset or a model.

export const VIEWS = [
  { name: "photos", of: "dataset", load: () => import("./photos/view.js") },
  { name: "training", of: "dataset", load: () => import("./training/view.js") },
  { name: "result", of: "model", load: () => import("./result/view.js") },
  { name: "try", of: "model", load: () => import("./trial/view.js") },
  { name: "share", of: "model", load: () => import("./sharing/view.js") },
];
