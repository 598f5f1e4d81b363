"""The folder of one training: its status, its options, and the lock that tells whether it is alive."""

import dataclasses
import json
import os
import shutil
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from model import durable
from model.config import TrainConfig
from model.errors import ConfigError, TrainingBusyError
from model.locks import FileLock, exclusive, is_held
from model.results import ACTIVE_STATES, State, TrainingStatus
from model.schema import load
from model.workspace import Workspace

STATUS = "status.json"
CONFIG = "config.json"
LOCK = "lock"
BUNDLE = "bundle"
WORK = "work"

# A process that checks whether a training is alive holds its lock for a moment.
_SECONDS_OF_A_CHECK = 1.0
_UNGUARDED = (
    "Start trainings one after the other, and from one machine only: two that start at the same moment can both run, "
    "and trainings of other machines count as interrupted."
)


@dataclasses.dataclass(frozen=True)
class Reservation:
    """The right to run one training, and its folder. Closing `lock` gives it back.

    Attributes:
        name: of the model to be.
        directory: models/.running/<name>/.
        destination: models/<name>/, where the bundle goes at the end.
        started: when the training was first started, ISO 8601 in UTC.
        lock: a child process that inherits it holds it too.
        ended: set once it is settled how the training ended, from then on nothing else can be said of it.
    """

    name: str
    directory: Path
    destination: Path
    started: str
    lock: FileLock
    ended: threading.Event = dataclasses.field(default_factory=threading.Event, compare=False)
    _writing: threading.Lock = dataclasses.field(default_factory=threading.Lock, compare=False, repr=False)

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
    def has_begun(self) -> bool:
        """Whether it has found its dataset, now or before an interruption."""
        return self.work.exists()

    @property
    def passed_checks(self) -> bool:
        """Whether the dataset was found good, now or before an interruption: from then on it can be resumed."""
        return self.fingerprint.exists()

    @property
    def status(self) -> TrainingStatus:
        """What status.json says."""
        return read_status(self.directory) or TrainingStatus(self.name, "running", started=self.started)

    def write_status(self, status: TrainingStatus) -> None:
        """Replace status.json, unless the training has ended."""
        with self._writing:
            if not self.ended.is_set():
                durable.write_json(self.directory / STATUS, dataclasses.asdict(status))

    def end(self, state: State, message: str, error: str = "") -> None:
        """Write down how a training that gives no model ended; the first to say so is right.

        What a resumed one can use stays, the unfinished model goes.
        """
        with self._writing:
            status = self.status
            if self.ended.is_set() or status.state not in ACTIVE_STATES:
                return
            self.ended.set()
            ending = dataclasses.replace(
                status, state=state, message=message, error=error, eta_seconds=None, per_second=None, place=0
            )
            durable.write_json(self.directory / STATUS, dataclasses.asdict(ending))
            shutil.rmtree(self.bundle, ignore_errors=True)

    def publish(self) -> None:
        """Move the finished bundle into the list of models, at once and whole, and clear the folder."""
        durable.sync_tree(self.bundle)
        with self._writing:
            os.rename(self.bundle, self.destination)
            self.ended.set()
        durable.sync_directory(self.destination.parent)
        self.remove()

    def remove(self) -> None:
        """Forget the training: its folder goes."""
        with self._writing:
            self.ended.set()
            shutil.rmtree(self.directory)


def read_status(directory: Path) -> TrainingStatus | None:
    """The content of status.json; None where there is none, or one that makes no sense."""
    known = {field.name for field in dataclasses.fields(TrainingStatus)}
    try:
        content: dict[str, Any] = json.loads((directory / STATUS).read_text(encoding="utf-8"))
        return TrainingStatus(**{name: value for name, value in content.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


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


def take_lock(directory: Path) -> FileLock:
    """Take the lock of a training.

    Raises:
        TrainingBusyError: another process has it.
    """
    try:
        return FileLock.take(directory / LOCK, _UNGUARDED, _SECONDS_OF_A_CHECK)
    except BlockingIOError:
        raise TrainingBusyError(f"the training {directory.name} is running in another process.") from None


def is_locked(directory: Path) -> bool:
    """Whether a process holds the lock of a training."""
    return is_held(directory / LOCK)


def exclusive_workspace(workspace: Workspace) -> AbstractContextManager[None]:
    """Wait for the right to reserve trainings of a workspace, and hold it alone."""
    return exclusive(workspace.running / LOCK, _UNGUARDED)
