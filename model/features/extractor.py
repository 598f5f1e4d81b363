"""Image features of a frozen backbone by ONNX Runtime, with no Keras and no TensorFlow on the way."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnxruntime

from model.dataset.pipeline import BATCH_SIZE, Transform, decoded, decoded_batches
from model.dataset.reading import raise_with_path, read_photo
from model.dataset.rereading import PhotoReader
from model.errors import ImageError
from model.features.onnx_session import FEATURES, IMAGE, open_session, run_each, takes_batches
from model.features.out_of_memory import with_batches_that_fit
from model.results import InputSpec, Progress, Sample

Extract = Callable[[np.ndarray], np.ndarray]
"""From images uint8 (n, height, width, 3) to features float32 (n, features)."""


class FeatureExtractor:
    """Features of images by a backbone in ONNX. It can be pickled: the receiving process opens its own session.

    Attributes:
        graph: the serialised ONNX graph, with the output `features`.
        spec: the input of the network, to which images must be resized.
        threads: images computed at the same time on a CPU, each by one thread; None means one per processor of the
            process.
    """

    def __init__(self, graph: bytes, spec: InputSpec, threads: int | None = None) -> None:
        self.graph, self.spec, self.threads = graph, spec, threads

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features float32 (n, features) of images uint8 (n, height, width, 3)."""
        if self.takes_batches:
            features: np.ndarray = self._session.run([FEATURES], {IMAGE: images})[0]
            return features
        return run_each(self._session, [FEATURES], images, self.threads)[0]

    @property
    def takes_batches(self) -> bool:
        """Whether batches are faster than single images: see `model.features.onnx_session.takes_batches`."""
        return takes_batches(self._session)

    @functools.cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        return open_session(self.graph, threads=1)

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
    """Yield the features of `extract_features` in batches: float32 (at most 8, features).

    A `FeatureExtractor` on a CPU works in the threads that decode, on one image in each.
    """
    done = 0
    if isinstance(extract, FeatureExtractor) and not extract.takes_batches:
        batches = _batches_of_single_images(extract, samples, spec, transform, read)
    else:
        images = decoded_batches(samples, spec, transform=transform, read=read)
        batches = (_extract_in_parts(extract, batch) for batch in images)
    for features in batches:
        done += len(features)
        progress("features", done, len(samples))
        yield features


def _batches_of_single_images(
    extract: FeatureExtractor,
    samples: Sequence[Sample],
    spec: InputSpec,
    transform: Transform | None,
    read: Callable[[Sample], bytes],
) -> Iterator[np.ndarray]:
    def features_of(image: np.ndarray, sample: Sample) -> np.ndarray:
        return extract((image if transform is None else transform(image, sample))[None])[0]

    rows = decoded(samples, read, spec, extract.threads, on_error=raise_with_path, transform=features_of)
    while batch := list(itertools.islice(rows, BATCH_SIZE)):
        yield np.stack(batch)


def _extract_in_parts(extract: Extract, images: np.ndarray) -> np.ndarray:
    """Features of a batch, in as many parts as the memory of a GPU requires."""

    def work(size: int) -> np.ndarray:
        return np.concatenate([extract(images[start : start + size]) for start in range(0, len(images), size)])

    return with_batches_that_fit(work, len(images))
