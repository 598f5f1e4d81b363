// Where photos to try come from: files, folders, the clipboard, the camera.

import { button, element, replace } from "../elements.js";
import { photosOfDrop, photosOfInput } from "../page/files.js";
import { Camera } from "./camera.js";

/** Draws the sources; `add` is called with photos as {file, name}. Returns what ends the view. */
export function drawSources(parent, context, model, add) {
  const { text } = context;
  const input = element("input", { type: "file", multiple: true, hidden: true, accept: "image/*,.dcm,.tif,.tiff" });
  const live = element("div.live", { hidden: true });
  const camera = new Camera(live, context, model, add);
  const cameraButton = button(text("try.camera"), () => camera.toggle(), { "aria-pressed": "false" });
  camera.changed = (open) => cameraButton.setAttribute("aria-pressed", open);
  input.addEventListener("change", () => add(photosOfInput(input)));
  const zone = element(
    "div.drop",
    {},
    element("button.zone", { type: "button", onclick: () => input.click() }, element("strong", {}, text("try.choose")), element("span", {}, text("try.or_drop"))),
    element("div.row", {}, cameraButton),
    input,
  );
  replace(parent, zone, live);

  const over = (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    zone.classList.add("over");
  };
  const out = (event) => event.relatedTarget === null && zone.classList.remove("over");
  const drop = async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    add(await photosOfDrop(event.dataTransfer));
  };
  const paste = (event) => {
    const files = [...event.clipboardData.files].filter(({ type }) => type.startsWith("image/"));
    if (!files.length) return;
    event.preventDefault();
    add(files.map((file) => ({ file, name: file.name || text("try.pasted") })));
  };
  const listeners = { dragover: over, dragleave: out, drop, paste };
  for (const [name, listener] of Object.entries(listeners)) document.addEventListener(name, listener);
  return () => {
    for (const [name, listener] of Object.entries(listeners)) document.removeEventListener(name, listener);
    camera.close();
  };
}
