"""The labelled photos of a folder of features, without their features: which of them a head is trained and measured on.

The index of all photos is in memory, 13 bytes for each. Features are read a part at a time.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from model import durable
from model.dataset.listing import is_listable
from model.dataset.lists import list_line
from model.dataset.verdict import LEARNED_SPLITS, Rejected
from model.errors import DatasetError
from model.files.checksums import checksum_line
from model.results import SPLITS, Progress, Split, no_progress
from model.scale.parts import Parts, features_matrix, part_name
from model.training.row_windows import Window

_COLUMNS = ("path", "label", "split", "sha256", "error")
_UNUSED = -1
_UNLISTABLE = "its name contains a line break or has surrounding blanks: rename the file"


@dataclasses.dataclass(frozen=True, eq=False)
class PartRows:
    """Index of the photos of a folder of features, by part.

    Attributes:
        parts: the folder.
        labels: for each part class indices int32 (n,), -1 for a photo without a class or with an error.
        splits: for each part positions in `SPLITS`, int8 (n,).
        keys: for each part a hash of the path, uint64 (n,), by which photos are drawn.
        rejected: photos with an error.
        unlabelled: number of photos without a class.
        fingerprint: that of the dataset of these photos, see `model.dataset.verdict.Verdict`.
    """

    parts: Parts
    labels: tuple[np.ndarray, ...]
    splits: tuple[np.ndarray, ...]
    keys: tuple[np.ndarray, ...]
    rejected: tuple[Rejected, ...]
    unlabelled: int
    fingerprint: str

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""
        return self.parts.plan.classes

    @functools.cached_property
    def counts(self) -> dict[Split, dict[str, int]]:
        """Number of labelled photos of each class in each split; classes in label order."""
        total = np.zeros((len(SPLITS), len(self.classes)), int)
        for labels, splits in zip(self.labels, self.splits, strict=True):
            used = labels >= 0
            np.add.at(total, (splits[used], labels[used]), 1)
        return {
            split: dict(zip(self.classes, row.tolist(), strict=True)) for split, row in zip(SPLITS, total, strict=True)
        }

    def size(self, *splits: Split) -> int:
        """Number of labelled photos of some splits, or of all."""
        return sum(sum(of_class.values()) for split, of_class in self.counts.items() if split in (splits or SPLITS))

    def drawn(self, limits: Mapping[Split, int]) -> list[np.ndarray]:
        """Which photos are drawn, bool (n,) for each part: of each split as many as its limit, by the hash of the path.

        Args:
            limits: of each split; all photos of a split that is not named.
        """
        labels, splits, keys = (np.concatenate(values) for values in (self.labels, self.splits, self.keys))
        chosen = labels >= 0
        for split, limit in limits.items():
            rows = np.flatnonzero(chosen & (splits == SPLITS.index(split)))
            if len(rows) > limit:
                chosen[rows[np.argsort(keys[rows], kind="stable")[limit:]]] = False
        return np.split(chosen, np.cumsum([len(values) for values in self.labels])[:-1])

    def read(self, drawn: Sequence[np.ndarray], progress: Progress = no_progress) -> "ReadRows":
        """Read photos with their features.

        Args:
            drawn: which, see `drawn`.
            progress: reports the phase `features`, in photos.
        """
        labels, splits = (
            np.concatenate([values[chosen] for values, chosen in zip(of_parts, drawn, strict=True)])
            for of_parts in (self.labels, self.splits)
        )
        total = len(labels)
        # Rows of train come first, then those of val and test.
        order = np.argsort(splits, kind="stable")
        place = np.empty(total, int)
        place[order] = np.arange(total)
        features = np.empty((total, self.parts.plan.features), np.float32)
        names, checksums, done = [""] * total, [""] * total, 0
        for part, rows in enumerate(map(np.flatnonzero, drawn)):
            if not len(rows):
                continue
            table = self.parts.read(part, ("path", "sha256", "features"))
            places = place[done : done + len(rows)].tolist()
            features[places] = _features_of(self.parts, part, table, rows)
            for at, row in zip(places, rows.tolist(), strict=True):
                names[at], checksums[at] = table["path"][row].as_py(), table["sha256"][row].as_py()
            done += len(rows)
            progress("features", done, total)
        return ReadRows(tuple(names), tuple(checksums), labels[order].astype(np.int64), splits[order], features)

    def write_lists(self, directory: Path) -> None:
        """Write the lists and checksums of all labelled photos, as `model.dataset.verdict.write_dataset_files`."""
        names = [f"{split}.txt" for split in SPLITS] + [f"{split}.sha256" for split in LEARNED_SPLITS]

        def write(streams: Sequence[IO[bytes]]) -> None:
            stream_of = dict(zip(names, streams, strict=True))
            for name, label, split, checksum in self._labelled():
                stream_of[f"{split}.txt"].write(list_line(name, label).encode())
                if split in LEARNED_SPLITS:
                    stream_of[f"{split}.sha256"].write(checksum_line(checksum, name).encode())

        durable.replace_files([directory / name for name in names], write)

    def _labelled(self) -> Iterator[tuple[str, int, Split, str]]:
        """Path, label, split and checksum of all labelled photos."""
        for part, (labels, splits) in enumerate(zip(self.labels, self.splits, strict=True)):
            rows = np.flatnonzero(labels >= 0)
            if len(rows):
                table = self.parts.read(part, ("path", "sha256")).take(rows)
                names, checksums = table["path"].to_pylist(), table["sha256"].to_pylist()
                of_rows = [SPLITS[position] for position in splits[rows].tolist()]
                yield from zip(names, labels[rows].tolist(), of_rows, checksums, strict=True)


@dataclasses.dataclass(frozen=True, eq=False)
class ReadRows:
    """Photos with their features: those of train, then of val, then of test.

    Attributes:
        names: paths.
        content_hashes: sha256 of the content of each, in hexadecimal.
        labels: class indices, int64 (n,).
        splits: positions in `SPLITS`, int8 (n,).
        features: float32 (n, features).
    """

    names: tuple[str, ...]
    content_hashes: tuple[str, ...]
    labels: np.ndarray
    splits: np.ndarray
    features: np.ndarray


class TrainingParts:
    """The training photos of a folder of features, as `model.training.row_windows.RowParts`."""

    def __init__(self, rows: PartRows) -> None:
        self._rows = rows
        self._drawn = [
            (labels >= 0) & (splits == SPLITS.index("train"))
            for labels, splits in zip(rows.labels, rows.splits, strict=True)
        ]
        self._used = [part for part, drawn in enumerate(self._drawn) if drawn.any()]

    @property
    def sizes(self) -> np.ndarray:
        """Number of training photos of each part that has some."""
        return np.array([self._drawn[part].sum() for part in self._used], int)

    @property
    def features(self) -> int:
        """Number of features of a photo."""
        return self._rows.parts.plan.features

    def read(self, part: int) -> Window:
        """Features float32 (n, features) and class indices int (n,) of the training photos of a part."""
        number = self._used[part]
        rows = np.flatnonzero(self._drawn[number])
        parts = self._rows.parts
        features = _features_of(parts, number, parts.read(number, ("features",)), rows)
        return features, self._rows.labels[number][rows]


def index_rows(parts: Parts, progress: Progress = no_progress) -> PartRows:
    """Index the photos of a folder of features.

    Args:
        progress: reports the phase `check`, in photos.

    Raises:
        DatasetError: the photos have no classes, or a part is missing or damaged.
    """
    plan = parts.plan
    if not plan.classes:
        raise DatasetError(
            f"{parts.folder.address}: expected photos with classes, found none. Put the photos of each class into a "
            "folder of its name, or make a dataset with lists or a table, and run topgraft featurize again."
        )
    class_of = {name: label for label, name in enumerate(plan.classes)}
    labels, splits, keys = [], [], []
    rejected: list[Rejected] = []
    unlabelled, done, digest = 0, 0, hashlib.sha256()
    for part in range(len(parts)):
        table = parts.read(part, _COLUMNS)
        names, classes, split_names, checksums, errors = (table[column].to_pylist() for column in _COLUMNS)
        found = np.full(len(table), _UNUSED, np.int32)
        for row, (name, label, checksum, error) in enumerate(zip(names, classes, checksums, errors, strict=True)):
            error = error or ("" if is_listable(name) else _UNLISTABLE)
            if error:
                rejected.append(Rejected(name, error))
            elif label is None:
                unlabelled += 1
            else:
                found[row] = class_of[label]
                digest.update(f"{name}\t{label}\t{checksum}\n".encode())
        labels.append(found)
        splits.append(np.array([SPLITS.index(split) for split in split_names], np.int8))
        keys.append(np.array([_key(name) for name in names], np.uint64))
        done += len(table)
        progress("check", done, plan.photos)
    return PartRows(
        *(parts, tuple(labels), tuple(splits), tuple(keys), tuple(rejected), unlabelled, digest.hexdigest())
    )


def _key(name: str) -> int:
    """Hash of a path, other than that of its split."""
    return int.from_bytes(hashlib.sha256(f"drawn\n{name}".encode()).digest()[:8], "big")


def _features_of(parts: Parts, part: int, table: Any, rows: np.ndarray) -> np.ndarray:
    """Features float32 (n, features) of some rows of a part, read as `table`."""
    features, readable = features_matrix(table)
    missing = np.setdiff1d(rows, readable)
    if len(missing):
        raise DatasetError(
            f"{parts.folder.address}/{part_name(part)}: expected features of all photos without an error, found none "
            f"in row {missing[0]}. Remove it, and run topgraft featurize again."
        )
    return features[np.searchsorted(readable, rows)]
