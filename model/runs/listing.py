"""Which trainings there are, and the state each is in now, whatever its status.json was left saying."""

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from model.bundle_files import MANIFEST
from model.results import ACTIVE_STATES, TrainingStatus
from model.runs.folder import LOCK, is_locked, read_status
from model.workspace import Workspace

_GONE = "Its process is gone, with the machine, the container or the service that it ran in."


def unfinished_trainings(workspace: Workspace) -> list[TrainingStatus]:
    """Every training that is no model (yet), in the state it is in now: running, queued, then the others by name."""
    return [*running_trainings(workspace), *queued_trainings(workspace), *interrupted_trainings(workspace)]


def running_trainings(workspace: Workspace) -> list[TrainingStatus]:
    """The trainings whose process is alive and whose turn it is, by name."""
    return [status for status, alive in _trainings(workspace) if alive and status.state != "queued"]


def queued_trainings(workspace: Workspace) -> list[TrainingStatus]:
    """The trainings whose process waits for its turn, first come first; `place` counts them from 1."""
    waiting = [status for status, alive in _trainings(workspace) if alive and status.state == "queued"]
    in_line = sorted(waiting, key=lambda status: status.ticket)
    return [dataclasses.replace(status, place=place) for place, status in enumerate(in_line, 1)]


def interrupted_trainings(workspace: Workspace) -> list[TrainingStatus]:
    """The trainings that ended without a model, by name: failed, cancelled, killed or interrupted."""
    return [_as_it_ended(status) for status, alive in _trainings(workspace) if not alive]


def remove_interrupted(workspace: Workspace, name: str) -> bool:
    """Delete what an interrupted training left; False if there is none of that name."""
    if name not in [status.name for status in interrupted_trainings(workspace)]:
        return False
    shutil.rmtree(workspace.running / name)
    return True


def process_of(workspace: Workspace, status: TrainingStatus) -> int | None:
    """The pid of a running or queued training; None unless that process, on this machine, has its lock file open.

    Pids are given away again, and mean another process in another container.
    """
    lock = workspace.running / status.name / LOCK
    try:
        held = [os.readlink(link.path) for link in os.scandir(f"/proc/{status.pid}/fd")]
    except OSError:
        return None
    return status.pid if str(lock.resolve()) in held else None


def _as_it_ended(status: TrainingStatus) -> TrainingStatus:
    if status.state not in ACTIVE_STATES:
        return status
    message = status.message or _GONE
    return dataclasses.replace(status, state="interrupted", message=message, eta_seconds=None, per_second=None, place=0)


def _trainings(workspace: Workspace) -> Iterator[tuple[TrainingStatus, bool]]:
    if not workspace.running.is_dir():
        return
    for directory in sorted(workspace.running.iterdir()):
        # The lock first: a training that ends in between has then written how.
        alive = is_locked(directory)
        status = read_status(directory)
        if status is not None and not is_published(workspace.models / directory.name, status):
            yield status, alive


def is_published(model: Path, status: TrainingStatus) -> bool:
    """Whether the model in the folder `model` came from this training, which was killed just before it was done."""
    try:
        manifest = json.loads((model / MANIFEST).read_text(encoding="utf-8"))
        return bool(manifest["created"] == status.started)
    except (OSError, ValueError, KeyError, TypeError):
        return False
