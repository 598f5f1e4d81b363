"""Starting of trainings: choose an unused name, create and lock the folder, then run, queue or refuse."""

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
from model.reading import with_path
from model.received import quoted
from model.results import TrainingStatus
from model.runs.listing import interrupted_trainings, is_published
from model.runs.queue import QueuePolicy, command_policy, first_status, service_policy
from model.runs.resumption import can_resume, count_start
from model.runs.run import (
    CONFIG,
    LOCK,
    STATUS,
    Run,
    is_locked,
    lock_workspace,
    read_config,
    read_status,
    take_lock,
)
from model.workspace import Workspace


def start_or_resume(config: TrainConfig, workspace: Workspace, in_service: bool = False) -> tuple[Run, TrainConfig]:
    """Start a new training or resume one, as `config` requests; also return the options that apply.

    Args:
        in_service: whether a worker of the service waits for the training.

    Raises:
        TrainingBusyError, ConfigError: as `start_run` and `resume_run`.
    """
    policy = service_policy(config.queue) if in_service else command_policy(config.queue)
    if config.resume:
        return resume_run(config.resume, workspace, policy)
    if can_resume(config, workspace):
        return resume_run(config.name, workspace, policy, automatic=True)
    return start_run(config, workspace, policy), config


def start_run(config: TrainConfig, workspace: Workspace, policy: QueuePolicy | None = None) -> Run:
    """Create the folder of a new training, running or queued.

    Raises:
        TrainingBusyError: TOPGRAFT_MAX_TRAININGS (1) trainings are running, and the policy forbids queueing.
        ConfigError: a model or training of that name exists.
    """
    workspace.running.mkdir(parents=True, exist_ok=True)
    with lock_workspace(workspace):
        _remove_remains(workspace)
        started = utc_now()
        status = first_status(
            TrainingStatus("", "running", started=started), workspace, policy or QueuePolicy(config.queue)
        )
        name = _free_name(config.name, workspace)
        directory = workspace.running / name
        directory.mkdir()
        try:
            run = Run(name, directory, workspace.models / name, started, take_lock(directory))
            durable.write_json(directory / CONFIG, dataclasses.asdict(config))
            run.write_status(dataclasses.replace(status, name=name))
        except OSError as error:
            shutil.rmtree(directory, ignore_errors=True)
            raise StorageError(
                f"{workspace.running}: expected a writable folder, received: {with_path(error)}. Free some space."
            ) from error
        return run


def start_import(name: str, workspace: Workspace) -> Run:
    """Create the folder of an import. An import is no training and is never queued.

    Raises:
        ConfigError: a model or training of that name exists.
    """
    workspace.running.mkdir(parents=True, exist_ok=True)
    with lock_workspace(workspace):
        _remove_remains(workspace)
        directory = workspace.running / _free_name(name, workspace)
        directory.mkdir()
        return Run(name, directory, workspace.models / name, utc_now(), take_lock(directory))


def resume_run(
    name: str, workspace: Workspace, policy: QueuePolicy | None = None, automatic: bool = False
) -> tuple[Run, TrainConfig]:
    """Resume an interrupted training, running or queued; also return its options.

    Args:
        policy: queue policy; a training with the option `queue` is queued again.
        automatic: whether it is resumed automatically, which is counted; see `model.runs.resumption`.

    Raises:
        TrainingBusyError: as `start_run`.
        ConfigError: there is no interrupted training of that name; the message lists the existing ones.
        TrainingError: the training was resumed automatically too often.
    """
    workspace.running.mkdir(parents=True, exist_ok=True)
    with lock_workspace(workspace):
        interrupted = {status.name: status for status in interrupted_trainings(workspace)}
        if name not in interrupted:
            known = ", ".join(interrupted) or "none"
            raise ConfigError(
                f"resume: expected the name of an interrupted training, received {quoted(name)}. Existing ones: "
                f"{known}."
            )
        directory, ended = workspace.running / name, interrupted[name]
        config = read_config(directory)
        policy = policy or command_policy(wait=False)
        policy = dataclasses.replace(policy, wait=policy.wait or config.queue)
        begun = TrainingStatus(name, "running", started=ended.started, seconds_used=ended.seconds_used)
        status = first_status(begun, workspace, policy)
        with contextlib.ExitStack() as undo:
            lock = undo.enter_context(take_lock(directory))
            run = Run(name, directory, workspace.models / name, ended.started, lock)
            run.write_status(count_start(status, ended, run) if automatic else status)
            undo.pop_all()
        return run, config


def adopt(directory: Path, lock_descriptor: int) -> tuple[Run, TrainConfig]:
    """Open the run whose lock was inherited from the parent process, and read its options."""
    status = read_status(directory) or TrainingStatus(directory.name, "running", started=utc_now())
    destination = directory.parent.parent / directory.name
    lock = FileLock.inherit(directory / LOCK, lock_descriptor)
    run = Run(directory.name, directory, destination, status.started, lock)
    run.write_status(dataclasses.replace(status, pid=os.getpid()))
    return run, read_config(directory)


def _remove_remains(workspace: Workspace) -> None:
    """Remove the folders of killed imports, which cannot be resumed, and of trainings killed after publishing."""
    for directory in workspace.running.iterdir():
        # A folder without a lock file is being removed by its owner.
        if not (directory / LOCK).exists() or is_locked(directory):
            continue
        status = read_status(directory)
        if not (directory / STATUS).exists() or (status and is_published(workspace.models / directory.name, status)):
            shutil.rmtree(directory, ignore_errors=True)


def check_name(name: str, workspace: Workspace) -> None:
    """Check that no model or training has this name, before the work for a new one.

    Raises:
        ConfigError: one has it; the message states how to resume or remove it.
    """
    workspace.running.mkdir(parents=True, exist_ok=True)
    with lock_workspace(workspace):
        _remove_remains(workspace)
        _free_name(name, workspace)


def _free_name(requested: str, workspace: Workspace) -> str:
    def taken(name: str) -> bool:
        return (workspace.models / name).exists() or (workspace.running / name).exists()

    if requested:
        if taken(requested):
            interrupted = any(status.name == requested for status in interrupted_trainings(workspace))
            hint = f"It is an interrupted training; to resume it: topgraft resume {requested}. Or choose"
            raise ConfigError(
                f"name: expected a name that is not in use, received {quoted(requested)}. "
                f"{hint if interrupted else 'Choose'} another, or remove it first: topgraft models remove {requested}"
            )
        return requested
    by_time = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S")
    candidates = (by_time if number == 1 else f"{by_time}_{number}" for number in range(1, 1000))
    return next(name for name in candidates if not taken(name))
