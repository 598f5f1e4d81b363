"""Checkpoints of a training: written aside and renamed, checked by their sum, the last two kept."""

import hashlib
import io
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from model import durable

KEPT = 2
_STATE = "state"
_DIGEST_BYTES = 32

log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints in one folder.

    A file is the sha256 of what follows it, then an .npz archive of the arrays with the rest of the
    state as JSON: no pickle.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Write a checkpoint; only when it is on disk are older ones than the one before it removed.

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
        durable.write_bytes(self._directory / f"{number:08}.ckpt", hashlib.sha256(content).digest() + content)
        for path in existing[: -(KEPT - 1)]:
            path.unlink()

    def latest(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The newest checkpoint that is whole: its arrays and its state. Damaged ones are said and passed over."""
        files = self._files()
        while files:
            path = files.pop()
            content = path.read_bytes()
            digest, archive = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
            if hashlib.sha256(archive).digest() == digest:
                return _unpack(archive)
            instead = (
                f"{files[-1].name}, the one before it, is tried" if files else "without one before it, it begins anew"
            )
            log.warning("the checkpoint %s is damaged: %s", path, instead)
        return None

    def _files(self) -> list[Path]:
        return sorted(self._directory.glob("*.ckpt"))


class TimedCheckpoints(Checkpoints):
    """Checkpoints that are also written when the last one is long ago."""

    def __init__(self, directory: Path, seconds: float) -> None:
        """Args:
        seconds: the longest time between two of them, as far as it is asked for.
        """
        super().__init__(directory)
        self._seconds, self._saved = seconds, time.monotonic()

    def save_if_due(self, state: Callable[[], tuple[Mapping[str, np.ndarray], Mapping[str, Any]]]) -> None:
        """Write one where it is time to; only then is `state` asked for the arrays and the rest."""
        if time.monotonic() - self._saved > self._seconds:
            self.save(*state())
            self._saved = time.monotonic()


def _unpack(archive: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    with np.load(io.BytesIO(archive), allow_pickle=False) as stored:
        arrays = {name.removeprefix("array_"): stored[name] for name in stored.files if name != _STATE}
        return arrays, json.loads(stored[_STATE].tobytes())
