"""Trainings under way: who may start, what each is doing, which were interrupted.

    models/.running/<name>/
        status.json   what it is doing (`model.results.TrainingStatus`)
        config.json   every option
        lock          held (flock) by the process that trains: free means that it is gone
        work/         checkpoints, and what else a resumed training can use again
        bundle/       the model being written; renamed to models/<name>/ at the end

A lock, not a pid, tells whether a training is alive: the system frees it however the process ends,
and gives its pid to somebody else.
"""

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from model import durable
from model.config import TrainConfig
from model.errors import ConfigError, StorageError, TrainingBusyError
from model.results import TrainingStatus
from model.schema import load
from model.workspace import Workspace

STATUS = "status.json"
CONFIG = "config.json"
LOCK = "lock"
BUNDLE = "bundle"
WORK = "work"


@dataclasses.dataclass(frozen=True)
class Reservation:
    """The right to run one training, and its folder. Closing `lock` gives it back.

    Attributes:
        name: of the model to be.
        directory: models/.running/<name>/.
        destination: models/<name>/, where the bundle goes at the end.
        started: when the training was first started, ISO 8601 in UTC.
        lock: the open, locked file; a child process that inherits it holds the lock too.
    """

    name: str
    directory: Path
    destination: Path
    started: str
    lock: IO[str]

    @property
    def bundle(self) -> Path:
        """Where the model is written until it is whole."""
        return self.directory / BUNDLE

    @property
    def work(self) -> Path:
        """Checkpoints and large temporary files: all that a resumed training needs."""
        return self.directory / WORK

    @property
    def fingerprint(self) -> Path:
        """The file that remembers which images the training began with."""
        return self.work / "fingerprint"

    @property
    def passed_checks(self) -> bool:
        """Whether the dataset was found good, now or before an interruption: from then on it can be resumed."""
        return self.fingerprint.exists()

    def write_status(self, status: TrainingStatus) -> None:
        """Replace status.json."""
        durable.write_json(self.directory / STATUS, dataclasses.asdict(status))

    def publish(self) -> None:
        """Move the finished bundle into the list of models, at once and whole, and clear the folder."""
        durable.sync_tree(self.bundle)
        os.rename(self.bundle, self.destination)
        durable.sync_directory(self.destination.parent)
        self.remove()

    def remove(self) -> None:
        """Forget the training: its folder goes."""
        shutil.rmtree(self.directory)


def reserve(config: TrainConfig, workspace: Workspace) -> Reservation:
    """Reserve a name and the right to train, or refuse at once.

    Raises:
        TrainingBusyError: as many trainings run as TOPGRAFT_MAX_TRAININGS (1) allows; it names them.
        ConfigError: a model or training of that name exists.
    """
    workspace.running.mkdir(parents=True, exist_ok=True)
    with _exclusive(workspace.running / LOCK):
        _refuse_if_busy(workspace)
        _remove_dead_imports(workspace)
        name = _free_name(config.name, workspace)
        directory = workspace.running / name
        directory.mkdir()
        try:
            reservation = Reservation(name, directory, workspace.models / name, now(), _locked(directory))
            durable.write_json(directory / CONFIG, dataclasses.asdict(config))
            reservation.write_status(_starting(reservation))
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
    with _exclusive(workspace.running / LOCK):
        _remove_dead_imports(workspace)
        directory = workspace.running / _free_name(name, workspace)
        directory.mkdir()
        return Reservation(name, directory, workspace.models / name, now(), _locked(directory))


def reserve_again(name: str, workspace: Workspace) -> tuple[Reservation, TrainConfig]:
    """Reserve the right to go on with an interrupted training; also returns its options.

    Raises:
        TrainingBusyError: as `reserve`.
        ConfigError: there is no interrupted training of that name; it lists those there are.
    """
    workspace.running.mkdir(parents=True, exist_ok=True)
    with _exclusive(workspace.running / LOCK):
        _refuse_if_busy(workspace)
        interrupted = {status.name: status for status in interrupted_trainings(workspace)}
        if name not in interrupted:
            known = ", ".join(interrupted) or "none"
            raise ConfigError(
                f"resume: expected the name of an interrupted training, received {name!r}. There are: {known}."
            )
        directory = workspace.running / name
        started = interrupted[name].started
        reservation = Reservation(name, directory, workspace.models / name, started, _locked(directory))
        reservation.write_status(_starting(reservation))
        return reservation, read_config(directory)


def adopt(directory: Path, lock_descriptor: int) -> tuple[Reservation, TrainConfig]:
    """In a child process: take over the reservation whose lock it inherited, and read its options."""
    status = _read_status(directory)
    started = status.started if status else now()
    destination = directory.parent.parent / directory.name
    lock = os.fdopen(lock_descriptor, "w")
    return Reservation(directory.name, directory, destination, started, lock), read_config(directory)


def read_config(directory: Path) -> TrainConfig:
    """The options of the training in `directory`; those that it was started without have their defaults."""
    try:
        stored = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{directory / CONFIG}: expected the options of a training as JSON, received: {error}. "
            f"Remove it and train anew: topgraft models remove {directory.name}"
        ) from error
    return load(TrainConfig, stored)


def running_trainings(workspace: Workspace) -> list[TrainingStatus]:
    """The trainings whose process is alive, by name."""
    return [status for status, alive in _trainings(workspace) if alive]


def interrupted_trainings(workspace: Workspace) -> list[TrainingStatus]:
    """The trainings that ended without a model, by name: failed, cancelled, or killed."""
    return [
        dataclasses.replace(status, state="killed") if status.state == "running" else status
        for status, alive in _trainings(workspace)
        if not alive
    ]


def remove_interrupted(workspace: Workspace, name: str) -> bool:
    """Delete what an interrupted training left; False if there is none of that name."""
    if name not in [status.name for status in interrupted_trainings(workspace)]:
        return False
    shutil.rmtree(workspace.running / name)
    return True


def now() -> str:
    """The time in UTC as ISO 8601, to the microsecond."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat()


def _locked(directory: Path) -> IO[str]:
    """The lock file of a training, open and locked."""
    lock = open(directory / LOCK, "w")  # noqa: SIM115 - held as long as the training runs
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def _starting(reservation: Reservation) -> TrainingStatus:
    return TrainingStatus(reservation.name, "running", phase="start", pid=os.getpid(), started=reservation.started)


def _trainings(workspace: Workspace) -> Iterator[tuple[TrainingStatus, bool]]:
    if not workspace.running.is_dir():
        return
    for directory in sorted(workspace.running.iterdir()):
        status = _read_status(directory)
        if status is not None:
            yield status, _is_locked(directory / LOCK)


def _read_status(directory: Path) -> TrainingStatus | None:
    try:
        content: dict[str, Any] = json.loads((directory / STATUS).read_text(encoding="utf-8"))
        return TrainingStatus(**content)
    except (OSError, ValueError, TypeError):
        return None


def _is_locked(path: Path) -> bool:
    try:
        with open(path) as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _refuse_if_busy(workspace: Workspace) -> None:
    allowed = _allowed_trainings()
    running = [f"{status.name} ({status.phase})" for status in running_trainings(workspace)]
    if len(running) >= allowed:
        raise TrainingBusyError(
            f"expected fewer than {allowed} trainings to run, found {len(running)}: {', '.join(running)}. "
            "Wait until one ends, delete it, or raise TOPGRAFT_MAX_TRAININGS."
        )


def _remove_dead_imports(workspace: Workspace) -> None:
    """Remove what a killed import left: it has no status, and cannot be gone on with."""
    for directory in workspace.running.iterdir():
        lock = directory / LOCK
        # One without a lock file is being removed by whoever held it.
        if lock.exists() and not (directory / STATUS).exists() and not _is_locked(lock):
            shutil.rmtree(directory, ignore_errors=True)


def _allowed_trainings() -> int:
    text = os.environ.get("TOPGRAFT_MAX_TRAININGS") or "1"
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"TOPGRAFT_MAX_TRAININGS: expected a whole number from 1, received {text!r}.")
    return int(text)


def _free_name(wanted: str, workspace: Workspace) -> str:
    def taken(name: str) -> bool:
        return (workspace.models / name).exists() or (workspace.running / name).exists()

    if wanted:
        if taken(wanted):
            raise ConfigError(
                f"name: expected one that is not in use, received {wanted!r}. Choose another, or remove that one "
                f"first: topgraft models remove {wanted}"
            )
        return wanted
    by_time = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S")
    candidates = (by_time if number == 1 else f"{by_time}_{number}" for number in range(1, 1000))
    return next(name for name in candidates if not taken(name))


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with open(path, "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
