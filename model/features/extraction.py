"""Features of images: one pass of a frozen backbone, remembered on disk by the content of each image."""

import contextlib
import itertools
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from model.backbones import Backbone
from model.dataset.inspection import in_parallel
from model.dataset.reading import read_sample
from model.features.onnx_session import FEATURES, IMAGE, open_session
from model.features.out_of_memory import with_batches_that_fit
from model.features.views import View
from model.results import InputSpec, Progress, Sample
from model.workspace import cache_directory

# Small batches stay in the processor's cache: 8 passes faster than 64 on a CPU.
BATCH_SIZE = 8
_CACHE_FORMAT = 2
# What a kill may lose, whichever comes first.
_MOST_IMAGES_UNWRITTEN = 256
_MOST_SECONDS_UNWRITTEN = 30.0

Extract = Callable[[np.ndarray], np.ndarray]
"""From uint8 images (n, height, width, 3) to float32 features (n, features)."""

Look = Callable[[np.ndarray, Sample], np.ndarray]
"""From a decoded image uint8 (height, width, 3) and its sample to what is seen of it, of the same shape and type."""

log = logging.getLogger(__name__)


def extract_with_onnx(graph: Path | bytes) -> Extract:
    """A function from images to features by ONNX Runtime."""
    session = open_session(graph)
    return lambda images: session.run([FEATURES], {IMAGE: images})[0]


def as_decoded(image: np.ndarray, _sample: Sample) -> np.ndarray:
    """A `Look` at the image itself."""
    return image


def look_at(view: View, content_hashes: Mapping[str, str]) -> Look:
    """A `Look` at one augmented view; `content_hashes` is name of a sample -> sha256 of its bytes."""
    return lambda image, sample: view.of(image, content_hashes[sample.name])


def extract_features(
    extract: Extract,
    samples: Sequence[Sample],
    spec: InputSpec,
    progress: Progress,
    look: Look = as_decoded,
) -> np.ndarray:
    """Decode images in threads and extract their features: float32 (n, features), in the order of `samples`."""
    return np.concatenate(list(_batches_of_features(extract, samples, spec, progress, look)))


def _batches_of_features(
    extract: Extract, samples: Sequence[Sample], spec: InputSpec, progress: Progress, look: Look
) -> Iterator[np.ndarray]:
    """As `extract_features`, of `BATCH_SIZE` images at a time; the last batch may have fewer."""
    done = 0
    for images in decoded_batches(samples, spec, BATCH_SIZE, look):
        features = _extract_in_parts(extract, images)
        done += len(images)
        progress("features", done, len(samples))
        yield features


def _extract_in_parts(extract: Extract, images: np.ndarray) -> np.ndarray:
    """All at once, or in as many parts as the memory of a GPU asks for."""

    def work(size: int) -> np.ndarray:
        return np.concatenate([extract(images[start : start + size]) for start in range(0, len(images), size)])

    return with_batches_that_fit(work, len(images))


class FeatureCache:
    """Features by the sha256 of the image's bytes and the view of it, in one file for each way of making them."""

    def __init__(self, backbone: Backbone, spec: InputSpec, kept: Callable[[str, int], None] | None = None) -> None:
        """Args:
        kept: told what has been made and of how many images, each time that it is safe on disk.
        """
        key = f"{backbone.name}-imagenet-{spec.height}-{spec.resize}-v{_CACHE_FORMAT}"
        self._spec = spec
        self.path = cache_directory() / "features" / f"{key}.sqlite"
        self._kept = kept

    def extract(
        self,
        extract: Extract,
        samples: Sequence[Sample],
        content_hashes: Mapping[str, str],
        progress: Progress,
        view: View | None = None,
    ) -> np.ndarray:
        """As `extract_features`, for those images alone whose features are not known yet.

        They are remembered as they come, whole batches at a time in the order of `samples`: one that goes on after
        an interruption makes the same batches of the rest, and so the same features to the last bit.

        Args:
            content_hashes: name of a sample -> sha256 of its bytes, in hexadecimal.
            view: what is seen of each image; None for the image itself.
        """
        suffix = f" {view.key}" if view else ""
        keys = [content_hashes[sample.name] + suffix for sample in samples]
        known = self._read(keys)
        missing = {key: sample for key, sample in zip(keys, samples, strict=True) if key not in known}
        log.info("features%s: %d of %d are in the cache", suffix, len(samples) - len(missing), len(samples))
        if missing:
            look = look_at(view, content_hashes) if view else as_decoded
            batches = _batches_of_features(extract, list(missing.values()), self._spec, progress, look)
            known |= self._remembered(list(missing), batches, self.path.stem + suffix, len(known))
        return np.stack([known[key] for key in keys])

    def _remembered(
        self, keys: Sequence[str], batches: Iterable[np.ndarray], made: str, before: int
    ) -> dict[str, np.ndarray]:
        """The features in `batches` by their keys, written down as they come; not after it once was impossible.

        Args:
            made: what they are, for `kept`.
            before: how many images had theirs already.
        """
        features: dict[str, np.ndarray] = {}
        unwritten: dict[str, np.ndarray] = {}
        left, possible, written = iter(keys), True, time.monotonic()
        for batch in batches:
            unwritten |= dict(zip(itertools.islice(left, len(batch)), batch, strict=True))
            full = len(unwritten) >= _MOST_IMAGES_UNWRITTEN or time.monotonic() - written >= _MOST_SECONDS_UNWRITTEN
            if full or len(features) + len(unwritten) == len(keys):
                possible = possible and self._write(unwritten)
                features |= unwritten
                unwritten, written = {}, time.monotonic()
                if possible and self._kept:
                    self._kept(made, before + len(features))
        return features

    def _read(self, keys: Sequence[str]) -> dict[str, np.ndarray]:
        if not self.path.exists():
            return {}
        try:
            with self._connection() as connection:
                rows = (connection.execute("SELECT features FROM features WHERE image = ?", (key,)) for key in keys)
                found = {key: row.fetchone() for key, row in zip(keys, rows, strict=True)}
        except sqlite3.OperationalError as error:
            log.warning("the feature cache %s cannot be read now (%s): it is left alone", self.path, error)
            return {}
        except sqlite3.Error as error:
            log.warning("the feature cache %s cannot be read (%s): it is made anew", self.path, error)
            with contextlib.suppress(OSError):
                self.path.unlink()
            return {}
        return {key: np.frombuffer(row[0], np.float32) for key, row in found.items() if row}

    def _write(self, features: Mapping[str, np.ndarray]) -> bool:
        """Remember features; where that is impossible (False) the training goes on, and the next makes them again."""
        rows = [(key, np.asarray(values, np.float32).tobytes()) for key, values in features.items()]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._connection() as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS features (image TEXT PRIMARY KEY, features BLOB)")
                connection.executemany("INSERT OR REPLACE INTO features VALUES (?, ?)", rows)
        except (OSError, sqlite3.Error) as error:
            log.warning("features could not be kept in %s (%s); TOPGRAFT_CACHE names another folder", self.path, error)
            return False
        return True

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.path, timeout=60)) as connection, connection:
            yield connection


def decoded_batches(
    samples: Sequence[Sample], spec: InputSpec, batch_size: int, look: Look = as_decoded
) -> Iterator[np.ndarray]:
    """Images of `samples` as uint8 batches (at most batch_size, height, width, 3), decoded ahead in threads."""

    def see(sample: Sample) -> np.ndarray:
        return look(read_sample(sample, spec), sample)

    seen = in_parallel(see, samples)
    while batch := list(itertools.islice(seen, batch_size)):
        yield np.stack(batch)
