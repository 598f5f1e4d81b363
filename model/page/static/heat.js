// The picture of what the model looked at, in a dialog.

const dialog = document.getElementById("heat");
const title = document.getElementById("heat-title");
const state = document.getElementById("heat-state");
const frame = document.getElementById("heat-frame");
const picture = document.getElementById("heat-picture");
const save = document.getElementById("heat-save");

let shown = null;

document.getElementById("heat-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => shown.abort());
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

// fetchPicture: (signal) -> a Blob.
export async function showHeat(photo, fetchPicture) {
  shown = new AbortController();
  const { signal } = shown;
  const [label] = photo.answer.labels;
  title.textContent = photo.name;
  state.textContent = "Drawing …";
  frame.hidden = save.hidden = true;
  dialog.showModal();
  try {
    const url = URL.createObjectURL(await fetchPicture(signal));
    signal.addEventListener("abort", () => URL.revokeObjectURL(url));
    picture.src = url;
    picture.alt = `The photo, what speaks for ${label} in it, and the likeliest classes.`;
    save.href = url;
    save.download = `${photo.name.replaceAll("/", "_")}.png`;
    await picture.decode();
    frame.hidden = save.hidden = false;
    state.textContent = "";
    // On a narrow screen, what was looked at comes first: it is in the middle.
    frame.scrollLeft = (frame.scrollWidth - frame.clientWidth) / 2;
  } catch (error) {
    if (!signal.aborted) state.textContent = error.message;
  }
}
