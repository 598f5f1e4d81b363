// Thumbnails of photos, drawn one at a time: hundreds of large photos would fill the memory of a phone.

const MAX_SIDE = 480;

let last = Promise.resolve();

// The URL of a thumbnail; null if the browser cannot decode the photo.
export function thumbnail(file, isNeeded) {
  last = last.then(() => (isNeeded() ? draw(file) : null)).catch(() => null);
  return last;
}

async function draw(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
  return URL.createObjectURL(blob);
}
