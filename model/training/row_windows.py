"""Rows of features that are larger than memory, in windows: random parts of the rows, each small enough for memory.

Reading Parquet takes several times as long as learning from it. The rows are therefore written once, in half precision,
to a file in which each window is a random sample of all rows, and an epoch reads this file from one window to the next.
Without space on the disk for that file, an epoch reads the parts themselves in a random order, as many for a window as
fit. Parts of photos sorted by folder have one class each, so that the order spreads the parts of each class evenly.
"""

import contextlib
import dataclasses
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from model.reading import without_number
from model.training.head_candidates import SMALLEST_SCALE, Scaling

WINDOW_ROWS = 65_536
_FILE = "rows.tmp"
# The rest of the training writes checkpoints and the model.
_FREE_BYTES_AFTER = 1_000_000_000
# Part of the variance of the features that half precision may change.
_MAX_ROUNDING = 1e-4
_ROWS_CHECKED = 16

Window = tuple[np.ndarray, np.ndarray]
"""Features (n, features) and labels int (n,) of some rows, in any order."""

log = logging.getLogger(__name__)


class RowParts(Protocol):
    """Features and labels of training images, in numbered parts that fit into memory.

    Attributes:
        sizes: number of rows of each part, int (parts,).
        features: number of features of a row.
    """

    @property
    def sizes(self) -> np.ndarray: ...

    @property
    def features(self) -> int: ...

    def read(self, part: int) -> Window:
        """Features float32 (n, features) and class indices int (n,) of a part, always in the same order."""


class RowWindows(Protocol):
    """All rows of some parts, in windows."""

    def windows(self, epoch: int) -> Iterator[Window]:
        """The windows of an epoch: every row once, in an order fixed by the seed and the epoch."""

    def remove(self) -> None:
        """Remove the file of the rows, if there is one."""


@dataclasses.dataclass(frozen=True)
class Measures:
    """What the first pass over the parts finds.

    Attributes:
        scaling: mean and scale of the features.
        class_counts: number of rows of each class, int (classes,).
        main_classes: the most frequent class of each part, int (parts,).
    """

    scaling: Scaling
    class_counts: np.ndarray
    main_classes: np.ndarray


def open_windows(
    parts: RowParts,
    classes: int,
    directory: Path,
    seed: int,
    on_part: Callable[[int], None] = lambda done: None,
    window: int = WINDOW_ROWS,
) -> tuple[RowWindows, Measures]:
    """Measure the features in one pass over the parts, and write them to a file if the disk has space for it.

    Args:
        classes: the number of classes.
        directory: folder of the file, which is overwritten if it exists.
        on_part: called after each part with the number of parts that are done.
        window: rows of a window, approximately.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / _FILE
    dtype = _stored_type(parts)
    needed = int(parts.sizes.sum()) * parts.features * dtype.itemsize
    free = shutil.disk_usage(directory).free
    stored = None
    if free < needed + _FREE_BYTES_AFTER:
        message = "%s: %.1f GB are free for %.1f GB of features, so that every epoch reads the parts"
        log.info(message, directory, free / 1e9, needed / 1e9)
    else:
        stored = _StoredRows(path, parts, dtype, seed, window)
    measures, written = _first_pass(parts, classes, stored, on_part)
    if stored is not None and written:
        return stored, measures
    path.unlink(missing_ok=True)
    return _PartWindows(parts, measures.main_classes, dtype, seed, window), measures


def _first_pass(
    parts: RowParts, classes: int, stored: "_StoredRows | None", on_part: Callable[[int], None]
) -> tuple[Measures, bool]:
    """Measures of all rows, and whether they were written to the file."""
    total, squares = np.zeros(parts.features), 0.0
    counts, main = np.zeros(classes, int), np.zeros(len(parts.sizes), int)
    with contextlib.ExitStack() as opened:
        for part in range(len(parts.sizes)):
            features, labels = parts.read(part)
            total += features.sum(axis=0, dtype=np.float64)
            squares += float(np.einsum("ij,ij->i", features, features).sum(dtype=np.float64))
            of_part = np.bincount(labels, minlength=classes)
            counts += of_part
            main[part] = of_part.argmax()
            if stored is not None:
                try:
                    if part == 0:
                        opened.enter_context(stored.writing())
                    stored.write(part, features, labels)
                except OSError as error:
                    log.warning("%s: %s. The parts are read again for each epoch", stored.path, without_number(error))
                    stored = None
            on_part(part + 1)
    rows = max(int(counts.sum()), 1)
    mean = total / rows
    scale = np.sqrt(max(squares / rows - float(mean @ mean), 0.0))
    scaling = Scaling(mean.astype(np.float32), np.float32(max(scale, SMALLEST_SCALE)))
    return Measures(scaling, counts, main), stored is not None


class _StoredRows:
    """Rows in a file, each in a window drawn at random; the windows follow each other."""

    def __init__(self, path: Path, parts: RowParts, dtype: np.dtype, seed: int, window: int) -> None:
        self.path, self._features, self._dtype, self._seed = path, parts.features, dtype, seed
        self._sizes = parts.sizes
        self._windows = max(1, -(-int(parts.sizes.sum()) // window))
        drawn = [np.bincount(self._drawn(part), minlength=self._windows) for part in range(len(parts.sizes))]
        self._starts = np.concatenate([[0], np.cumsum(np.sum(drawn, axis=0, dtype=int))])
        self._labels = np.empty(self._starts[-1], np.int32)
        self._next = self._starts[:-1].copy()
        self._descriptor = -1

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Keep the file open for `write`; its space on the disk is allocated.

        Raises:
            OSError: the disk is full.
        """
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.posix_fallocate(self._descriptor, 0, max(1, int(self._starts[-1]) * self._row_bytes))
            yield
        finally:
            os.close(self._descriptor)

    def write(self, part: int, features: np.ndarray, labels: np.ndarray) -> None:
        """Write the rows of a part to their windows."""
        drawn = self._drawn(part)
        order = np.argsort(drawn, kind="stable")
        rows, labels = features[order].astype(self._dtype), labels[order]
        begin = 0
        for window, count in enumerate(np.bincount(drawn, minlength=self._windows).tolist()):
            start, end = int(self._next[window]), begin + count
            _write_all(self._descriptor, rows[begin:end], start * self._row_bytes)
            self._labels[start : start + count] = labels[begin:end]
            self._next[window] += count
            begin = end

    def windows(self, epoch: int) -> Iterator[Window]:
        """The windows of the file in a random order."""
        for window in np.random.default_rng((self._seed, epoch)).permutation(self._windows).tolist():
            start, end = int(self._starts[window]), int(self._starts[window + 1])
            offset = start * self._row_bytes
            values = np.fromfile(self.path, self._dtype, (end - start) * self._features, offset=offset)
            yield values.reshape(-1, self._features), self._labels[start:end]

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)

    @property
    def _row_bytes(self) -> int:
        return self._features * self._dtype.itemsize

    def _drawn(self, part: int) -> np.ndarray:
        """The window of each row of a part, int (n,)."""
        return np.random.default_rng((self._seed, part)).integers(self._windows, size=int(self._sizes[part]))


class _PartWindows:
    """Rows read from their parts in each epoch, several parts for a window."""

    def __init__(self, parts: RowParts, main_classes: np.ndarray, dtype: np.dtype, seed: int, window: int) -> None:
        self._parts, self._main_classes, self._dtype = parts, main_classes, dtype
        self._seed, self._window = seed, window

    def windows(self, epoch: int) -> Iterator[Window]:
        """Parts in a random order, joined to windows."""
        features: list[np.ndarray] = []
        labels: list[np.ndarray] = []
        for part in spread_order(self._main_classes, np.random.default_rng((self._seed, epoch))).tolist():
            values, of_part = self._parts.read(part)
            features.append(values.astype(self._dtype))
            labels.append(of_part)
            if sum(map(len, labels)) >= self._window:
                yield np.concatenate(features), np.concatenate(labels)
                features, labels = [], []
        if labels:
            yield np.concatenate(features), np.concatenate(labels)

    def remove(self) -> None:
        """There is no file."""


def spread_order(classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random order of items, int (n,), in which the items of each class are evenly spread.

    Args:
        classes: class of each item, int (n,).
    """
    places = np.empty(len(classes))
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        places[rng.permutation(members)] = (np.arange(len(members)) + rng.random(len(members))) / len(members)
    return np.argsort(places, kind="stable")


def _stored_type(parts: RowParts) -> np.dtype:
    """Half precision, unless it changes the features too much: then single precision."""
    features = [parts.read(part)[0] for part in np.unique([0, len(parts.sizes) // 2, len(parts.sizes) - 1]).tolist()]
    values = np.concatenate([rows[:: max(1, len(rows) // _ROWS_CHECKED)] for rows in features])
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16).astype(np.float32)
    with np.errstate(invalid="ignore"):
        changed = float(((rounded - values) ** 2).sum(axis=1).mean())
    variance = float(((values - values.mean(axis=0)) ** 2).sum(axis=1).mean())
    return np.dtype(np.float16 if changed <= _MAX_ROUNDING * variance else np.float32)


def _write_all(descriptor: int, values: np.ndarray, offset: int) -> None:
    content = memoryview(values.tobytes())
    while content:
        written = os.pwrite(descriptor, content, offset)
        content, offset = content[written:], offset + written
