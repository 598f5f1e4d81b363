// The dialog with the heat map of a photo.

import { isolated, printable } from "./shown.js";

const TEXTS = {
  drawing: "Drawing …",
  save: "Save heat map",
  close: "Close",
  frame: "The heat map; scrollable on a narrow screen",
  image: "The photo, the heat map of the class {label}, and the most probable classes.",
};

let shown = null;

// fetchHeatMap: (signal) -> a Blob with a PNG; texts: those of the dialog, in another language.
export async function showHeat(photo, fetchHeatMap, texts = TEXTS) {
  const { dialog, title, state, frame, image, save } = parts(texts);
  shown = new AbortController();
  const { signal } = shown;
  const [label] = photo.answer.labels;
  title.textContent = printable(photo.name);
  state.textContent = texts.drawing;
  frame.hidden = save.hidden = true;
  dialog.showModal();
  try {
    const url = URL.createObjectURL(await fetchHeatMap(signal));
    signal.addEventListener("abort", () => URL.revokeObjectURL(url));
    image.src = url;
    image.alt = texts.image.replace("{label}", isolated(label));
    save.href = url;
    save.download = `${photo.name.replaceAll("/", "_")}.png`;
    await image.decode();
    frame.hidden = save.hidden = false;
    state.textContent = "";
    // On a narrow screen, start with the heat map, which is in the middle.
    frame.scrollLeft = (frame.scrollWidth - frame.clientWidth) / 2;
  } catch (error) {
    if (!signal.aborted) state.textContent = error.message;
  }
}

// The dialog and its parts, made when a heat map is shown for the first time.
function parts(texts) {
  const find = (id) => document.getElementById(id);
  if (!find("heat")) document.body.append(makeDialog());
  find("heat-save").textContent = texts.save;
  find("heat-close").textContent = texts.close;
  find("heat-frame").setAttribute("aria-label", texts.frame);
  return {
    dialog: find("heat"),
    title: find("heat-title"),
    state: find("heat-state"),
    frame: find("heat-frame"),
    image: find("heat-image"),
    save: find("heat-save"),
  };
}

function makeDialog() {
  const image = make("img", { id: "heat-image", alt: "" });
  const frame = make("div", { id: "heat-frame", className: "frame", tabIndex: 0, role: "group" }, image);
  const save = make("a", { id: "heat-save", className: "plain" });
  const close = make("button", { id: "heat-close", type: "button", className: "main" });
  const dialog = make(
    "dialog",
    { id: "heat" },
    make("h2", { id: "heat-title" }),
    make("p", { id: "heat-state", role: "status" }),
    frame,
    make("div", { className: "actions" }, save, close),
  );
  dialog.setAttribute("aria-labelledby", "heat-title");
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => shown.abort());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  return dialog;
}

function make(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}
