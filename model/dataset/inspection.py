"""Decoding every image of a dataset once, in parallel, keeping what checks need and no pixels."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model.dataset import duplicates
from model.dataset.images import measure_image
from model.dataset.intensity.value_distribution import ValueDistribution
from model.dataset.pipeline import decode_within_budget, in_threads
from model.dataset.reading import read_photo
from model.dataset.verdict import Rejected
from model.errors import ImageError
from model.results import InputSpec, Progress, Sample

_PROGRESS_STEPS = 200
# Photos of few gray levels would have equal hashes.
_HASH_INPUT = InputSpec.square(duplicates.HASH_INPUT, intensity="photo")


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Facts about the n images that can be decoded, in their order, and the list of those that cannot.

    Attributes:
        content_hashes: sha256 of each file's bytes, in hexadecimal.
        sizes: int32 (n, 2): upright height and width in pixels.
        hashes, thumbnails: as `duplicates.near_duplicates` takes them.
        values: distribution of the values of each image with more than 8 bits per channel; None for the others.
    """

    samples: tuple[Sample, ...]
    content_hashes: tuple[str, ...]
    sizes: np.ndarray
    hashes: np.ndarray
    thumbnails: np.ndarray
    values: tuple[ValueDistribution | None, ...]
    rejected: tuple[Rejected, ...]


def inspect_images(samples: Sequence[Sample], progress: Progress) -> Inspection:
    """Decode each image once, in threads; `progress` reports the phase `check`.

    Raises:
        StorageError: the disk or mount of the dataset cannot be reached; no photo is rejected for that.
    """
    total = len(samples)
    rejected: list[Rejected] = []
    kept: list[int] = []
    content_hashes: list[str] = []
    sizes = np.zeros((total, 2), np.int32)
    hashes = np.zeros((total, duplicates.HASH_BYTES), np.uint8)
    values: list[ValueDistribution | None] = []
    thumbnails = np.zeros((total, duplicates.THUMBNAIL**2 * 3), np.uint8)
    for position, found in enumerate(in_threads(_inspect, samples)):
        if isinstance(found, str):
            rejected.append(Rejected(samples[position].name, found))
        else:
            content_hashes.append(found.content_hash)
            values.append(found.values)
            sizes[position], hashes[position], thumbnails[position] = found.size, found.hash, found.thumbnail
            kept.append(position)
        done = position + 1
        if done == total or done % max(1, total // _PROGRESS_STEPS) == 0:
            progress("check", done, total)
    return Inspection(
        samples=tuple(samples[position] for position in kept),
        content_hashes=tuple(content_hashes),
        sizes=sizes[kept],
        hashes=hashes[kept],
        thumbnails=thumbnails[kept],
        values=tuple(values),
        rejected=tuple(rejected),
    )


class _Inspected(NamedTuple):
    """Facts about one image; see `Inspection`."""

    content_hash: str
    size: tuple[int, int]
    hash: np.ndarray
    thumbnail: np.ndarray
    values: ValueDistribution | None


def _inspect(sample: Sample) -> _Inspected | str:
    try:
        content = read_photo(sample)
        photo = decode_within_budget(content, _HASH_INPUT)
        size, hashed = measure_image(content), duplicates.hash_image(photo.pixels)
        return _Inspected(hashlib.sha256(content).hexdigest(), size, *hashed, photo.values)
    except ImageError as error:
        return error.message
