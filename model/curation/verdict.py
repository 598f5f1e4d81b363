"""What a training would meet in a dataset: the checks of `topgraft check`, as data that a page can show and link.

Facts about a photo are kept in the cache, so that after a change only new photos are decoded.
"""

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import subprocess
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model import durable
from model.curation.places import Contents, read_contents, version_of
from model.dataset import duplicates
from model.dataset.checks import FEW_IMAGES, IMBALANCE, size_warnings
from model.dataset.inspection import inspect_images
from model.dataset.similar_names import similar_classes
from model.errors import DatasetError
from model.processes import python_command, python_environment, read_answer, start_child
from model.reading import UnreadableError, read_json
from model.results import Sample, no_progress
from model.workspace import cache_directory

MAX_SHOWN = 200
"""Photos or groups of each kind that are listed; all are counted."""

_NICENESS = 10
_MAX_FACTS_BYTES = 256 * 1024**2


@dataclasses.dataclass(frozen=True)
class LiveVerdict:
    """Findings of the checks of a dataset.

    Attributes:
        version: of the dataset that was checked, see `model.curation.places.version_of`.
        photos: number of photos in classes that can be decoded.
        classes: class -> number of its photos that can be decoded.
        unreadable: photos that cannot be decoded, and the reason.
        conflicts: groups of the same or nearly the same photo in different classes.
        duplicates: groups of the same or nearly the same photo in one class.
        counts: number of all `unreadable`, `conflicts` and `duplicates`, of which at most `MAX_SHOWN` are listed.
        few: classes with so few photos that their accuracy is left to chance.
        imbalance: largest and smallest class, if they differ too much; otherwise None.
        missing: what a training needs and does not have: `photos`, `classes` or `validation`; or empty.
        remarks: sentences about unusual photos and names.
        problem: why the dataset cannot be read, if so.
    """

    version: str
    photos: int
    classes: dict[str, int]
    unreadable: tuple[tuple[str, str], ...]
    conflicts: tuple[tuple[str, ...], ...]
    duplicates: tuple[tuple[str, ...], ...]
    counts: dict[str, int]
    few: tuple[str, ...]
    imbalance: tuple[str, str] | None
    missing: str
    remarks: tuple[str, ...]
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return dataclasses.asdict(self) | {"ready": not self.missing and not self.problem}


def start_check(dataset: Path) -> "subprocess.Popen[bytes]":
    """Start `check_dataset` in a process of its own, with low priority: this one stays small and responsive.

    The process ends with the thread that calls this function. Its output is for `read_verdict`.
    """
    command = python_command("model.curation.verdict_process", dataset)
    return start_child(command, _NICENESS, stdout=subprocess.PIPE, env=python_environment())


def read_verdict(dataset: Path, output: bytes) -> dict[str, Any]:
    """Verdict that a process of `start_check` has written, as JSON types.

    Raises:
        DatasetError: there is no such dataset, or the process has ended without a verdict.
    """
    try:
        verdict: dict[str, Any] = read_answer(output)
    except ValueError:
        raise DatasetError(f"{dataset.name}: the check ended without a verdict. See the log above") from None
    return verdict


def check_dataset(dataset: Path) -> LiveVerdict:
    """Check the photos of a dataset that are in classes.

    Raises:
        DatasetError: there is no such dataset.
    """
    version = version_of(dataset) if dataset.is_dir() else ""
    contents = read_contents(dataset)
    samples = [
        Sample(dataset / photo, photo, label)
        for label, photos in enumerate(contents.classes.values())
        for photo in photos
    ]
    return _verdict(version, contents, samples, _facts(dataset, samples))


def _verdict(
    version: str, contents: Contents, samples: Sequence[Sample], facts: Mapping[str, "_Facts | str"]
) -> LiveVerdict:
    classes = list(contents.classes)
    unreadable = [(sample.name, reason) for sample in samples if isinstance(reason := facts[sample.name], str)]
    good = [(sample, fact) for sample in samples if not isinstance(fact := facts[sample.name], str)]
    kept = [sample for sample, _ in good]
    groups = _groups([fact for _, fact in good])
    members: dict[int, list[Sample]] = defaultdict(list)
    for sample, group in zip(kept, groups.tolist(), strict=True):
        members[group].append(sample)
    several = [same for same in members.values() if len(same) > 1]
    conflicts = [same for same in several if len({sample.label for sample in same}) > 1]
    within = [same for same in several if len({sample.label for sample in same}) == 1]
    numbers = Counter(classes[sample.label] for sample in kept)
    counts = {name: numbers[name] for name in classes}
    filled = {name: count for name, count in counts.items() if count}
    largest, smallest = (
        (max(filled, key=counts.__getitem__), min(filled, key=counts.__getitem__)) if filled else ("", "")
    )
    sizes = np.array([fact.size for _, fact in good], np.int32).reshape(-1, 2)
    return LiveVerdict(
        version=version,
        photos=len(kept),
        classes=counts,
        unreadable=tuple(unreadable[:MAX_SHOWN]),
        conflicts=_names(conflicts),
        duplicates=_names(within),
        counts={"unreadable": len(unreadable), "conflicts": len(conflicts), "duplicates": len(within)},
        few=tuple(name for name, count in counts.items() if count < FEW_IMAGES),
        imbalance=(largest, smallest) if filled and counts[largest] > IMBALANCE * counts[smallest] else None,
        missing=_missing(filled, list(members.values())),
        remarks=(*similar_classes(classes), *(size_warnings(kept, sizes) if kept else ())),
        problem=contents.problem,
    )


def _missing(filled: Mapping[str, int], groups: Sequence[Sequence[Sample]]) -> str:
    """What a training needs besides."""
    if not filled:
        return "photos"
    if len(filled) < 2:
        return "classes"
    groups_of_class = Counter(label for group in groups for label in {sample.label for sample in group})
    return "" if any(count > 1 for count in groups_of_class.values()) else "validation"


def _names(groups: Sequence[Sequence[Sample]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(sample.name for sample in group) for group in groups[:MAX_SHOWN])


def _groups(facts: Sequence["_Facts"]) -> np.ndarray:
    """Group of each photo, int64 (n,): the same photos, and nearly the same ones."""
    if not facts:
        return np.zeros(0, np.int64)
    hashes = np.stack([fact.hash for fact in facts])
    near = duplicates.near_duplicates(hashes, np.stack([fact.thumbnail for fact in facts]))
    return duplicates.together([duplicates.equal_keys([fact.content_hash for fact in facts]), near])


@dataclasses.dataclass(frozen=True)
class _Facts:
    """Facts about a photo that can be decoded; see `model.dataset.inspection.Inspection`."""

    content_hash: str
    size: tuple[int, int]
    hash: np.ndarray
    thumbnail: np.ndarray


def _facts(dataset: Path, samples: Sequence[Sample]) -> dict[str, _Facts | str]:
    """Facts about each photo by its name, or why it cannot be decoded; from the cache if its file has not changed."""
    key = hashlib.sha256(os.fsencode(dataset.absolute())).hexdigest()[:32]
    cache = cache_directory() / "verdicts" / f"{key}.json"
    known = _read_cache(cache)
    identities = {sample.name: _identity(sample.path) for sample in samples}
    new = [sample for sample in samples if identities[sample.name] not in known]
    inspection = inspect_images(new, no_progress)
    for at, sample in enumerate(inspection.samples):
        height, width = inspection.sizes[at].tolist()
        packed = base64.b64encode(inspection.hashes[at].tobytes() + inspection.thumbnails[at].tobytes()).decode()
        known[identities[sample.name]] = [inspection.content_hashes[at], height, width, packed]
    known |= {identities[rejected.name]: rejected.reason for rejected in inspection.rejected}
    used = {identity: known[identity] for identity in identities.values() if identity}
    if new or len(used) < len(known):
        # Without a cache, photos are decoded again each time.
        with contextlib.suppress(OSError):
            cache.parent.mkdir(parents=True, exist_ok=True)
            durable.write_text(cache, json.dumps(used))
    return {name: _unpacked(known[identity]) for name, identity in identities.items()}


def _read_cache(cache: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, UnreadableError):
        known = read_json(cache, _MAX_FACTS_BYTES)
        if isinstance(known, dict):
            return known
    return {}


def _unpacked(known: Any) -> _Facts | str:
    if isinstance(known, str):
        return known
    content_hash, height, width, packed = known
    values = np.frombuffer(base64.b64decode(packed), np.uint8)
    return _Facts(content_hash, (height, width), values[: duplicates.HASH_BYTES], values[duplicates.HASH_BYTES :])


def _identity(path: Path) -> str:
    """Text that stands for the content of a file, also after it was renamed; empty for a file that is gone."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_dev}.{status.st_ino}.{status.st_size}.{status.st_mtime_ns}"
