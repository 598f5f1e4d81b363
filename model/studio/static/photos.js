// Addresses of the photos of datasets.

/** A photo of a dataset as the browser shows it. */
export function addressOfPhoto(dataset, photo) {
  return `/api/datasets/${encodeURIComponent(dataset)}/photo?photo=${encodeURIComponent(photo)}`;
}

/** Its thumbnail. */
export function addressOfThumbnail(dataset, photo) {
  return `/api/datasets/${encodeURIComponent(dataset)}/thumbnail?photo=${encodeURIComponent(photo)}`;
}
