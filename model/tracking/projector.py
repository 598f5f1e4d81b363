"""Features of images for the projector of TensorBoard: a point cloud of thumbnails."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import scipy.linalg
from PIL import Image

from model import durable
from model.dataset.pipeline import in_threads
from model.results import SPLITS, Dataset
from model.tables import cell_text
from model.tracking.epoch_figures import Thumbnails

MAX_IMAGES = 2000
_COMPONENTS = 50
_THUMBNAIL = 48
_QUALITY = 80
_FEATURES, _METADATA, _SPRITE = "features.tsv", "metadata.tsv", "sprite.jpg"
_CONFIG = f"""embeddings {{
  tensor_name: "features"
  tensor_path: "{_FEATURES}"
  metadata_path: "{_METADATA}"
  sprite {{
    image_path: "{_SPRITE}"
    single_image_dim: {_THUMBNAIL}
    single_image_dim: {_THUMBNAIL}
  }}
}}
"""


def write_projector(directory: Path, features: np.ndarray, dataset: Dataset, thumbnails: Thumbnails) -> None:
    """Write the files of the projector for at most 2,000 images, spread over all splits and classes.

    Args:
        directory: folder of a TensorBoard run.
        features: float32 (n, features), of all samples of the dataset; reduced to their first 50 principal components.
    """
    if len(features) < 2:
        return
    chosen = np.unique(np.linspace(0, len(features) - 1, MAX_IMAGES).round().astype(int))
    splits = [split for split in SPLITS for _ in dataset.split(split)]
    all_samples = dataset.samples
    samples = [all_samples[row] for row in chosen]
    metadata = [
        (dataset.classes[sample.label], splits[row], sample.name) for row, sample in zip(chosen, samples, strict=True)
    ]
    images = in_threads(lambda sample: thumbnails.read(sample, _THUMBNAIL), samples)
    _grid(np.stack(list(images))).save(directory / _SPRITE, quality=_QUALITY)
    durable.write_text(directory / _METADATA, _table([("class", "split", "image"), *metadata]))
    components = principal_components(features[chosen], _COMPONENTS)
    rows = ("\t".join(f"{value:.4g}" for value in row) for row in components.tolist())
    durable.write_text(directory / _FEATURES, "".join(f"{row}\n" for row in rows))
    durable.write_text(directory / "projector_config.pbtxt", _CONFIG)


def principal_components(features: np.ndarray, count: int) -> np.ndarray:
    """First `count` principal components of features float (n, features): float (n, count)."""
    centred = (features - features.mean(axis=0)).astype(np.float64)
    rows, columns = centred.shape
    if rows < columns:
        # The smaller of the two products has the same eigenvalues.
        values, left = scipy.linalg.eigh(centred @ centred.T, subset_by_index=(max(0, rows - count), rows - 1))
        few = (left * np.sqrt(np.maximum(values, 0)))[:, ::-1]
        return np.pad(few, [(0, 0), (0, min(count, columns) - few.shape[1])])
    _, directions = scipy.linalg.eigh(centred.T @ centred, subset_by_index=(max(0, columns - count), columns - 1))
    components: np.ndarray = centred @ directions[:, ::-1]
    return components


def _table(rows: Iterable[Sequence[str]]) -> str:
    cleaned = ([cell_text(" ".join(value.split())) for value in row] for row in rows)
    return "".join("\t".join(row) + "\n" for row in cleaned)


def _grid(images: np.ndarray) -> Image.Image:
    """Square grid of images uint8 (n, side, side, 3), row by row."""
    side = int(np.ceil(np.sqrt(len(images))))
    padded = np.zeros((side * side, *images.shape[1:]), np.uint8)
    padded[: len(images)] = images
    height, width = images.shape[1:3]
    rows = padded.reshape(side, side, height, width, 3).swapaxes(1, 2)
    return Image.fromarray(rows.reshape(side * height, side * width, 3))
