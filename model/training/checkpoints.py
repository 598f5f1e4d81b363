"""Checkpoints of a training: written atomically, verified by checksum, the last two kept."""

import contextlib
import io
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from model import durable
from model.files.checksums import verified_content, with_checksum
from model.reading import UnreadableError, parse_json, read_json, read_regular, unreadable

KEPT = 2
# The name of a file in the work directory of a training, see `CachedCounts`.
CACHED_FEATURES = "cached_features.json"
_STATE = "state"

log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints in one folder.

    A file holds the sha256 of its remaining bytes, then an .npz archive of the arrays and of the state as JSON:
    no pickle.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Write a checkpoint, then remove all but it and the one before it.

        Args:
            state: plain JSON values.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        encoded = np.frombuffer(json.dumps(state).encode(), np.uint8)
        stored: dict[str, Any] = {f"array_{name}": values for name, values in arrays.items()} | {_STATE: encoded}
        np.savez(buffer, **stored)
        content = buffer.getvalue()
        existing = self._files()
        number = 1 + max((int(path.stem) for path in existing), default=0)
        durable.write_bytes(self._directory / f"{number:08}.ckpt", with_checksum(content))
        for path in existing[: -(KEPT - 1)]:
            path.unlink()

    def latest(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Arrays and state of the newest intact checkpoint, or None; damaged ones are skipped with a warning."""
        files = self._files()
        while files:
            path = files.pop()
            archive = _verified(path)
            if archive is not None:
                return _unpack(archive)
            instead = f"trying the previous one, {files[-1].name}" if files else "there is no other, starting again"
            log.warning("the checkpoint %s is damaged: %s", path, instead)
        return None

    def _files(self) -> list[Path]:
        return sorted(self._directory.glob("*.ckpt"))


class TimedCheckpoints(Checkpoints):
    """Checkpoints written at a minimum interval of time."""

    def __init__(self, directory: Path, seconds: float) -> None:
        """Args:
        seconds: the interval after which `save_if_due` writes one.
        """
        super().__init__(directory)
        self._seconds, self._saved = seconds, time.monotonic()

    def save_if_due(self, state: Callable[[], tuple[Mapping[str, np.ndarray], Mapping[str, Any]]]) -> None:
        """Write a checkpoint if the interval is over; only then is `state` called, for its arrays and state."""
        if time.monotonic() - self._saved > self._seconds:
            self.save(*state())
            self._saved = time.monotonic()


class CachedCounts:
    """Maximum number of images with cached features, per kind of features, in a file of the training.

    The cache is shared by all trainings. The file changes only when a number grows, which shows that the training
    has progressed; filling a cache again that was lost with its machine does not change it.
    """

    def __init__(self, work_directory: Path) -> None:
        self._path = work_directory / CACHED_FEATURES

    def __call__(self, kind: str, images: int) -> None:
        """Record the number of images with features of this kind.

        Raises:
            OSError: the file cannot be written.
        """
        counts = self._read()
        if images > counts.get(kind, 0):
            durable.write_json(self._path, counts | {kind: images})

    def _read(self) -> dict[str, int]:
        try:
            with unreadable():
                return {kind: int(count) for kind, count in read_json(self._path).items()}
        except FileNotFoundError:
            return {}
        except UnreadableError as error:
            log.warning("%s: expected numbers of images, received: %s. They are counted again.", self._path, error)
            return {}


def _verified(path: Path) -> bytes | None:
    with contextlib.suppress(UnreadableError):
        return verified_content(read_regular(path, path.stat().st_size))
    return None


def _unpack(archive: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    with np.load(io.BytesIO(archive), allow_pickle=False) as stored:
        arrays = {name.removeprefix("array_"): stored[name] for name in stored.files if name != _STATE}
        return arrays, parse_json(stored[_STATE].tobytes(), not_finite=True)
