"""Who may start: a name, a place to train, and the right to do so, or a refusal at once."""

import contextlib
import dataclasses
import datetime
import os
import shutil
from pathlib import Path

from model import durable
from model.config import TrainConfig
from model.errors import ConfigError, StorageError
from model.locks import FileLock
from model.provenance import utc_now
from model.results import TrainingStatus
from model.runs.folder import (
    CONFIG,
    LOCK,
    STATUS,
    Reservation,
    exclusive_workspace,
    is_locked,
    read_config,
    read_status,
    take_lock,
)
from model.runs.listing import interrupted_trainings, is_published
from model.runs.queue import Line, line_of_a_command, line_of_the_service, queue_or_run
from model.runs.resumption import can_go_on_with, count_start
from model.workspace import Workspace


def begin(config: TrainConfig, workspace: Workspace, in_service: bool = False) -> tuple[Reservation, TrainConfig]:
    """Reserve what `config` asks for: a new training, or to go on with one; also returns the options that count.

    Args:
        in_service: whether a worker of the service waits for the training.

    Raises:
        TrainingBusyError, ConfigError: as `reserve` and `reserve_again`.
    """
    line = line_of_the_service(config.queue) if in_service else line_of_a_command(config.queue)
    if config.resume:
        return reserve_again(config.resume, workspace, line)
    if can_go_on_with(config, workspace):
        return reserve_again(config.name, workspace, line, automatic=True)
    return reserve(config, workspace, line), config


def reserve(config: TrainConfig, workspace: Workspace, line: Line | None = None) -> Reservation:
    """Reserve a name and the right to train, now or when its turn comes, or refuse at once.

    Raises:
        TrainingBusyError: as many trainings run as TOPGRAFT_MAX_TRAININGS (1) allows, and it may not wait.
        ConfigError: a model or training of that name exists.
    """
    workspace.running.mkdir(parents=True, exist_ok=True)
    with exclusive_workspace(workspace):
        _remove_remains(workspace)
        started = utc_now()
        status = queue_or_run(TrainingStatus("", "running", started=started), workspace, line or Line(config.queue))
        name = _free_name(config.name, workspace)
        directory = workspace.running / name
        directory.mkdir()
        try:
            reservation = Reservation(name, directory, workspace.models / name, started, take_lock(directory))
            durable.write_json(directory / CONFIG, dataclasses.asdict(config))
            reservation.write_status(dataclasses.replace(status, name=name))
        except OSError as error:
            shutil.rmtree(directory, ignore_errors=True)
            raise StorageError(
                f"{workspace.running}: expected to write there, received: {error}. Free some space."
            ) from error
        return reservation


def reserve_import(name: str, workspace: Workspace) -> Reservation:
    """Reserve a name for a model that comes from elsewhere. It takes no training's turn, and is no training.

    Raises:
        ConfigError: a model or training of that name exists.
    """
    workspace.running.mkdir(parents=True, exist_ok=True)
    with exclusive_workspace(workspace):
        _remove_remains(workspace)
        directory = workspace.running / _free_name(name, workspace)
        directory.mkdir()
        return Reservation(name, directory, workspace.models / name, utc_now(), take_lock(directory))


def reserve_again(
    name: str, workspace: Workspace, line: Line | None = None, automatic: bool = False
) -> tuple[Reservation, TrainConfig]:
    """Reserve the right to go on with an interrupted training; also returns its options.

    Args:
        line: whether it may wait for its turn; a training that was asked to wait (`queue`) waits again.
        automatic: nobody asked for it now; counted, see `model.runs.resumption`.

    Raises:
        TrainingBusyError: as `reserve`.
        ConfigError: there is no interrupted training of that name; it lists those there are.
        TrainingError: it was gone on with automatically too often.
    """
    workspace.running.mkdir(parents=True, exist_ok=True)
    with exclusive_workspace(workspace):
        interrupted = {status.name: status for status in interrupted_trainings(workspace)}
        if name not in interrupted:
            known = ", ".join(interrupted) or "none"
            raise ConfigError(
                f"resume: expected the name of an interrupted training, received {name!r}. There are: {known}."
            )
        directory, ended = workspace.running / name, interrupted[name]
        config = read_config(directory)
        line = line or line_of_a_command(wait=False)
        line = dataclasses.replace(line, wait=line.wait or config.queue)
        begun = TrainingStatus(name, "running", started=ended.started, seconds_used=ended.seconds_used)
        status = queue_or_run(begun, workspace, line)
        with contextlib.ExitStack() as undo:
            lock = undo.enter_context(take_lock(directory))
            reservation = Reservation(name, directory, workspace.models / name, ended.started, lock)
            reservation.write_status(count_start(status, ended, reservation) if automatic else status)
            undo.pop_all()
        return reservation, config


def adopt(directory: Path, lock_descriptor: int) -> tuple[Reservation, TrainConfig]:
    """In a child process: take over the reservation whose lock it inherited, and read its options."""
    status = read_status(directory) or TrainingStatus(directory.name, "running", started=utc_now())
    destination = directory.parent.parent / directory.name
    lock = FileLock.inherit(directory / LOCK, lock_descriptor)
    reservation = Reservation(directory.name, directory, destination, status.started, lock)
    reservation.write_status(dataclasses.replace(status, pid=os.getpid()))
    return reservation, read_config(directory)


def _remove_remains(workspace: Workspace) -> None:
    """Remove what a killed import left, which cannot be gone on with, and what a training left that was just done."""
    for directory in workspace.running.iterdir():
        # One without a lock file is being removed by whoever held it.
        if not (directory / LOCK).exists() or is_locked(directory):
            continue
        status = read_status(directory)
        if not (directory / STATUS).exists() or (status and is_published(workspace.models / directory.name, status)):
            shutil.rmtree(directory, ignore_errors=True)


def _free_name(wanted: str, workspace: Workspace) -> str:
    def taken(name: str) -> bool:
        return (workspace.models / name).exists() or (workspace.running / name).exists()

    if wanted:
        if taken(wanted):
            interrupted = any(status.name == wanted for status in interrupted_trainings(workspace))
            go_on = f"It is an interrupted training; to go on with it: topgraft resume {wanted}. Or choose"
            raise ConfigError(
                f"name: expected one that is not in use, received {wanted!r}. {go_on if interrupted else 'Choose'} "
                f"another, or remove that one first: topgraft models remove {wanted}"
            )
        return wanted
    by_time = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S")
    candidates = (by_time if number == 1 else f"{by_time}_{number}" for number in range(1, 1000))
    return next(name for name in candidates if not taken(name))
