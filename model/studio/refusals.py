"""Trainings that were refused after their start, because the checks of their photos found a reason.

Nothing else remains of them: their reason is kept in the folder of the studio until the user has seen it.

    models/.studio/refused/<name>.json
"""

import contextlib
from pathlib import Path

from model import durable
from model.reading import UnreadableError, read_json, unreadable
from model.records import record_from
from model.results import TrainingStatus
from model.workspace import Workspace

_FOLDER = "refused"
_MAX_BYTES = 1 << 20


def record_refusal(workspace: Workspace, name: str, message: str, error: str) -> None:
    """Keep the reason for which a training was refused.

    Args:
        error: class name of the error.
    """
    path = _path(workspace, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write_json(path, {"name": name, "state": "failed", "phase": "check", "message": message, "error": error})


def refused_trainings(workspace: Workspace) -> list[TrainingStatus]:
    """The refused trainings, by name, as failed ones."""
    found = []
    for path in sorted((workspace.studio / _FOLDER).glob("*.json")):
        with contextlib.suppress(OSError, UnreadableError), unreadable():
            found.append(record_from(TrainingStatus, read_json(path, _MAX_BYTES)))
    return found


def forget_refusal(workspace: Workspace, name: str) -> bool:
    """Remove the reason of a training; False if there is none."""
    try:
        _path(workspace, name).unlink()
    except FileNotFoundError:
        return False
    return True


def _path(workspace: Workspace, name: str) -> Path:
    return workspace.studio / _FOLDER / f"{name}.json"
