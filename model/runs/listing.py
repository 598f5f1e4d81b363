"""Listing of trainings in their current state, which status.json alone does not show after a crash."""

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from model.bundle_files import MANIFEST
from model.errors import ModelDamagedError
from model.manifest_migration import read_manifest
from model.results import ACTIVE_STATES, TrainingStatus
from model.runs.run import LOCK, is_locked, read_status
from model.workspace import Workspace

_GONE = "Its process ended together with its machine, container or service."


def unfinished_trainings(workspace: Workspace) -> list[TrainingStatus]:
    """Trainings without a model, in their current state: running, queued, then the others by name."""
    return [*running_trainings(workspace), *queued_trainings(workspace), *interrupted_trainings(workspace)]


def running_trainings(workspace: Workspace) -> list[TrainingStatus]:
    """Running trainings, by name."""
    return [status for status, alive in _trainings(workspace) if alive and status.state != "queued"]


def queued_trainings(workspace: Workspace) -> list[TrainingStatus]:
    """Queued trainings in the order of the queue; `place` is their position from 1."""
    waiting = [status for status, alive in _trainings(workspace) if alive and status.state == "queued"]
    queue = sorted(waiting, key=lambda status: status.ticket)
    return [dataclasses.replace(status, place=place) for place, status in enumerate(queue, 1)]


def interrupted_trainings(workspace: Workspace) -> list[TrainingStatus]:
    """Trainings that ended without a model, by name: failed, cancelled, killed or interrupted."""
    return [_as_it_ended(status) for status, alive in _trainings(workspace) if not alive]


def remove_interrupted(workspace: Workspace, name: str) -> bool:
    """Delete the files of an interrupted training; False if there is none of that name."""
    if name not in [status.name for status in interrupted_trainings(workspace)]:
        return False
    shutil.rmtree(workspace.running / name)
    return True


def process_of(workspace: Workspace, status: TrainingStatus) -> int | None:
    """Process ID of a running or queued training; None unless that process of this machine has its lock file open.

    Process IDs are reused, and belong to other processes in another container.
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
        # The lock first: a training that ends in between has recorded its end by then.
        alive = is_locked(directory)
        status = read_status(directory)
        if status is not None and not is_published(workspace.models / directory.name, status):
            yield status, alive


def is_published(model: Path, status: TrainingStatus) -> bool:
    """Whether the model in the folder `model` is the result of this training, killed just before its end."""
    try:
        return bool(read_manifest(model / MANIFEST)["created"] == status.started)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ModelDamagedError):
        return False
