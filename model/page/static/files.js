// Photos that were dropped or chosen, as {file, name}; the name includes the folders.

import { hiddenNames } from "./hidden_names.js";

export function photosOfInput(input) {
  const photos = [...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
  input.value = "";
  return photos.every((photo) => photo.name === photo.file.name) ? photos : inFolder(photos);
}

// All files but hidden ones: the studio lists those that are no photos, with the reason.
export function filesOfInput(input) {
  const files = [...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
  input.value = "";
  return files.filter(({ name }) => !isHidden(name));
}

export async function filesOfDrop(transfer) {
  const entries = entriesOf(transfer);
  const files = [];
  for (const entry of entries) files.push(...(await photosBelow(entry, "")));
  return files.filter(({ name }) => !isHidden(name));
}

// The entries are no longer available after the first await.
function entriesOf(transfer) {
  const files = [...transfer.items].filter((item) => item.kind === "file");
  return files.map((item) => item.webkitGetAsEntry()).filter(Boolean);
}

export async function photosOfDrop(transfer) {
  const photos = [];
  for (const entry of entriesOf(transfer)) {
    const found = await photosBelow(entry, "");
    photos.push(...(entry.isDirectory ? inFolder(found) : found));
  }
  return photos;
}

async function photosBelow(entry, folder) {
  const name = folder + entry.name;
  if (entry.isFile) {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    return file ? [{ file, name }] : [];
  }
  const photos = [];
  for (const child of await childrenOf(entry)) photos.push(...(await photosBelow(child, `${name}/`)));
  return photos;
}

async function childrenOf(directory) {
  const reader = directory.createReader();
  const children = [];
  // Each call returns a hundred entries at most, and none at the end.
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) return children;
    children.push(...some);
  }
}

// The rule of the service for hidden files and those that systems add, of a path below the folder that was chosen.
export function isHidden(path) {
  const { any_case: anyCase, exact } = hiddenNames;
  const hides = (part) => part.startsWith(".") || exact.includes(part) || anyCase.includes(part.toLowerCase());
  return path.split("/").slice(1).some(hides);
}

// Filters and sorts the files of a folder: other files than photos are skipped; the service decides on unknown types.
function inFolder(photos) {
  const isPhoto = ({ file, name }) => !isHidden(name) && (!file.type || /^image\/|dicom/.test(file.type));
  const order = new Intl.Collator("en", { numeric: true });
  return photos.filter(isPhoto).sort((one, other) => order.compare(one.name, other.name));
}
