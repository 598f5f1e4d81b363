"""Image features of a frozen backbone by ONNX Runtime, with no Keras and no TensorFlow on the way."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnxruntime

from model.dataset.pipeline import BATCH_SIZE, Transform, decoded_batches
from model.dataset.reading import read_photo
from model.dataset.rereading import PhotoReader
from model.errors import ImageError
from model.features.onnx_session import FEATURES, IMAGE, open_session
from model.features.out_of_memory import with_batches_that_fit
from model.results import InputSpec, Progress, Sample

Extract = Callable[[np.ndarray], np.ndarray]
"""From images uint8 (n, height, width, 3) to features float32 (n, features)."""


class FeatureExtractor:
    """Features of images by a backbone in ONNX. It can be pickled: the receiving process opens its own session.

    Attributes:
        graph: the serialised ONNX graph, with the output `features`.
        spec: the input of the network, to which images must be resized.
        threads: CPU threads for one batch; None means all processors of the process.
    """

    def __init__(self, graph: bytes, spec: InputSpec, threads: int | None = None) -> None:
        self.graph, self.spec, self.threads = graph, spec, threads

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features float32 (n, features) of images uint8 (n, height, width, 3)."""
        features: np.ndarray = self._session.run([FEATURES], {IMAGE: images})[0]
        return features

    @functools.cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        return open_session(self.graph, self.threads)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_session"}


def extract_features(
    extract: Extract,
    samples: Sequence[Sample],
    spec: InputSpec,
    progress: Progress,
    transform: Transform | None = None,
) -> np.ndarray:
    """Decode images in threads and extract their features: float32 (n, features), in the order of `samples`."""
    return np.concatenate(list(feature_batches(extract, samples, spec, progress, transform)))


def extract_readable(
    extract: Extract, samples: Sequence[Sample], spec: InputSpec, progress: Progress, photos: PhotoReader
) -> tuple[list[str], np.ndarray]:
    """Names and features float32 (n, features) of the samples that `photos` can read.

    Raises:
        ImageError: none can be read.
    """
    names: list[str] = []
    rows: list[np.ndarray] = []
    for batch, images in photos.batches(samples, spec, BATCH_SIZE):
        names += [sample.name for sample in batch]
        rows.append(_extract_in_parts(extract, images))
        progress("features", len(names) + len(photos.missing), len(samples))
    if not rows:
        raise ImageError(f"expected photos that can be read, found none of {len(samples):,}: {samples[0].path}")
    return names, np.concatenate(rows)


def feature_batches(
    extract: Extract,
    samples: Sequence[Sample],
    spec: InputSpec,
    progress: Progress,
    transform: Transform | None = None,
    read: Callable[[Sample], bytes] = read_photo,
) -> Iterator[np.ndarray]:
    """Yield the features of `extract_features` in batches: float32 (at most 8, features)."""
    done = 0
    for images in decoded_batches(samples, spec, transform=transform, read=read):
        features = _extract_in_parts(extract, images)
        done += len(images)
        progress("features", done, len(samples))
        yield features


def _extract_in_parts(extract: Extract, images: np.ndarray) -> np.ndarray:
    """Features of a batch, in as many parts as the memory of a GPU requires."""

    def work(size: int) -> np.ndarray:
        return np.concatenate([extract(images[start : start + size]) for start in range(0, len(images), size)])

    return with_batches_that_fit(work, len(images))
