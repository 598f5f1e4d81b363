// The dialog with the heat map of a photo.

import { isolated, printable } from "./shown.js";

const dialog = document.getElementById("heat");
const title = document.getElementById("heat-title");
const state = document.getElementById("heat-state");
const frame = document.getElementById("heat-frame");
const image = document.getElementById("heat-image");
const save = document.getElementById("heat-save");

let shown = null;

document.getElementById("heat-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => shown.abort());
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

// fetchHeatMap: (signal) -> a Blob with a PNG.
export async function showHeat(photo, fetchHeatMap) {
  shown = new AbortController();
  const { signal } = shown;
  const [label] = photo.answer.labels;
  title.textContent = printable(photo.name);
  state.textContent = "Drawing …";
  frame.hidden = save.hidden = true;
  dialog.showModal();
  try {
    const url = URL.createObjectURL(await fetchHeatMap(signal));
    signal.addEventListener("abort", () => URL.revokeObjectURL(url));
    image.src = url;
    image.alt = `The photo, the heat map of the class ${isolated(label)}, and the most probable classes.`;
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
