// What was dropped or chosen as photos: {file, name}, the name with the folders that it came in.

export function photosOfInput(input) {
  const photos = [...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
  input.value = "";
  return photos.every((photo) => photo.name === photo.file.name) ? photos : inFolder(photos);
}

export async function photosOfDrop(transfer) {
  // The entries are gone after the first await.
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry());
  const photos = [];
  for (const entry of entries.filter(Boolean)) {
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
  // A call gives a hundred at most, and none at the end.
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) return children;
    children.push(...some);
  }
}

// Folders also hold what is no photo, and nobody chose that; files without a known type are left to the service.
function inFolder(photos) {
  const may = ({ file }) => !file.name.startsWith(".") && (!file.type || /^image\/|dicom/.test(file.type));
  const order = new Intl.Collator("en", { numeric: true });
  return photos.filter(may).sort((one, other) => order.compare(one.name, other.name));
}
