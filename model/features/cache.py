"""Feature cache on disk, keyed by the content of each image, so that features are extracted once."""

import contextlib
import itertools
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from model.backbones import Backbone
from model.dataset.pipeline import in_threads
from model.dataset.rereading import PhotoReader
from model.errors import ImageError
from model.features.extractor import Extract, feature_batches
from model.features.views import View, view_transform
from model.intensity import FULL
from model.reading import without_number
from model.results import InputSpec, Progress, Sample
from model.workspace import cache_directory

_CACHE_FORMAT = 2
# Limits of the work that a kill loses; the first one reached applies.
_MAX_UNSAVED_IMAGES = 256
_MAX_UNSAVED_SECONDS = 30.0

log = logging.getLogger(__name__)


class FeatureCache:
    """Features by the sha256 of the image's bytes and the view of it, in one SQLite file per backbone and input."""

    def __init__(self, backbone: Backbone, spec: InputSpec, on_saved: Callable[[str, int], None] | None = None) -> None:
        """Args:
        on_saved: called each time features are safe on disk, with their kind and the number of images that have them.
        """
        key = f"{backbone.key}-{spec.height}-{spec.resize}-v{_CACHE_FORMAT}"
        if spec.intensity != FULL:
            key += f"-intensity-{spec.intensity}"
        self.path = cache_directory() / "features" / f"{key}.sqlite"
        self._spec, self._on_saved = spec, on_saved

    def has(self, content_hashes: Sequence[str]) -> bool:
        """Whether the features of all images with these sha256 are in the cache, without views."""
        return self._read(content_hashes).keys() >= set(content_hashes)

    def extract(
        self,
        extract: Extract,
        samples: Sequence[Sample],
        content_hashes: Mapping[str, str],
        progress: Progress,
        view: View | None = None,
    ) -> np.ndarray:
        """Return the features of all images; extract only those that are not in the cache.

        Features are saved as they are extracted, whole batches at a time in the order of `samples`. After an
        interruption the remaining images form the same batches, and so get the same features to the last bit.

        Args:
            content_hashes: name of a sample -> sha256 of its bytes, in hexadecimal.
            view: the augmented view of each image; None for the image itself. An image that is gone or changed before
                its view is extracted has the features of the image itself instead, from the cache.

        Raises:
            ImageError: an image is gone or changed, and its features are not in the cache.
            StorageError: the disk or mount of the images stayed unavailable.
        """
        try:
            return self._extract(extract, samples, content_hashes, progress, view)
        except ImageError:
            if view is None:
                raise
            photos = PhotoReader(content_hashes)
            is_intact = np.array(list(in_threads(photos.is_intact, samples)))
            if is_intact.all():
                raise
        intact, gone = (list(itertools.compress(samples, rows)) for rows in (is_intact, ~is_intact))
        without_view = self._extract(extract, gone, content_hashes, progress, None)
        features = np.empty((len(samples), without_view.shape[1]), without_view.dtype)
        features[~is_intact] = without_view
        if intact:
            features[is_intact] = self._extract(extract, intact, content_hashes, progress, view)
        for warning in photos.warnings("their features without augmentation are used"):
            log.warning("%s", warning)
        return features

    def _extract(
        self,
        extract: Extract,
        samples: Sequence[Sample],
        content_hashes: Mapping[str, str],
        progress: Progress,
        view: View | None,
    ) -> np.ndarray:
        suffix = f" {view.key}" if view else ""
        keys = [content_hashes[sample.name] + suffix for sample in samples]
        known = self._read(keys)
        missing = {key: sample for key, sample in zip(keys, samples, strict=True) if key not in known}
        log.info("features%s: %d of %d are in the cache", suffix, len(samples) - len(missing), len(samples))
        if missing:
            transform = view_transform(view, content_hashes) if view else None
            # Another content would be taken for that of the checksum, also by later trainings.
            read = PhotoReader(content_hashes).read
            batches = feature_batches(extract, list(missing.values()), self._spec, progress, transform, read)
            known |= self._saved(list(missing), batches, self.path.stem + suffix, len(known))
        return np.stack([known[key] for key in keys])

    def _saved(
        self, keys: Sequence[str], batches: Iterable[np.ndarray], kind: str, before: int
    ) -> dict[str, np.ndarray]:
        """Features in `batches` by their keys. They are saved every few batches, until saving fails.

        Args:
            kind: the backbone, input and view, for `on_saved`.
            before: number of images that were already in the cache.
        """
        features: dict[str, np.ndarray] = {}
        unsaved: dict[str, np.ndarray] = {}
        left, possible, saved = iter(keys), True, time.monotonic()
        for batch in batches:
            unsaved |= dict(zip(itertools.islice(left, len(batch)), batch, strict=True))
            full = len(unsaved) >= _MAX_UNSAVED_IMAGES or time.monotonic() - saved >= _MAX_UNSAVED_SECONDS
            if full or len(features) + len(unsaved) == len(keys):
                possible = possible and self._write(unsaved)
                features |= unsaved
                unsaved, saved = {}, time.monotonic()
                if possible and self._on_saved:
                    self._on_saved(kind, before + len(features))
        return features

    def _read(self, keys: Sequence[str]) -> dict[str, np.ndarray]:
        if not self.path.exists():
            return {}
        try:
            with self._connection() as connection:
                rows = (connection.execute("SELECT features FROM features WHERE image = ?", (key,)) for key in keys)
                found = {key: row.fetchone() for key, row in zip(keys, rows, strict=True)}
        except sqlite3.OperationalError as error:
            log.warning("the feature cache %s cannot be read at the moment (%s): it is not used", self.path, error)
            return {}
        except sqlite3.Error as error:
            log.warning("the feature cache %s is damaged (%s): it is created again", self.path, error)
            with contextlib.suppress(OSError):
                self.path.unlink()
            return {}
        return {key: np.frombuffer(row[0], np.float32) for key, row in found.items() if row}

    def _write(self, features: Mapping[str, np.ndarray]) -> bool:
        """Save features; return False if they cannot be saved, so that a later training has to extract them again."""
        rows = [(key, np.asarray(values, np.float32).tobytes()) for key, values in features.items()]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._connection() as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS features (image TEXT PRIMARY KEY, features BLOB)")
                connection.executemany("INSERT OR REPLACE INTO features VALUES (?, ?)", rows)
        except (OSError, sqlite3.Error) as error:
            log.warning(
                "features could not be saved in %s (%s); set TOPGRAFT_CACHE to use another folder",
                self.path,
                without_number(error),
            )
            return False
        return True

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.path, timeout=60)) as connection, connection:
            yield connection
