"""A training and its folder: status, options, and the lock that shows whether it is alive."""

import dataclasses
import os
import shutil
import threading
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path

from model import durable
from model.config import TrainConfig
from model.errors import ConfigError, TrainingBusyError
from model.locks import FileLock, exclusive, is_held
from model.reading import UnreadableError, describe, read_json
from model.received import quoted
from model.records import record_from
from model.results import ACTIVE_STATES, State, TrainingStatus
from model.schema import MAX_FILE_BYTES, load
from model.workspace import Workspace

STATUS = "status.json"
CONFIG = "config.json"
LOCK = "lock"
LOG = "log.txt"
BUNDLE = "bundle"
WORK = "work"

_MAX_STATUS_BYTES = 1024**2
# A process that checks whether a training is alive holds its lock for a moment.
_SECONDS_OF_A_CHECK = 1.0
_UNGUARDED = (
    "Start trainings one after the other, and from one machine only: two that start at the same moment can both run, "
    "and trainings of other machines count as interrupted."
)


@dataclasses.dataclass(frozen=True)
class Run:
    """A training that this process runs, or may run. It belongs to this process until `lock` is closed.

    Attributes:
        name: name of the new model.
        directory: models/.running/<name>/.
        destination: models/<name>/, the final folder of the model.
        started: time of the first start, ISO 8601 in UTC.
        lock: lock of the training; a child process that inherits it holds it as well.
        ended: set when the end of the training is recorded; the status does not change after that.
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
        """Folder in which the model is written until it is complete."""
        return self.directory / BUNDLE

    @property
    def work(self) -> Path:
        """Folder of checkpoints and large temporary files: everything that a resumed training needs."""
        return self.directory / WORK

    @property
    def fingerprint(self) -> Path:
        """File with the fingerprint of the dataset that the training started with."""
        return self.work / "fingerprint"

    @property
    def has_begun(self) -> bool:
        """Whether the training has found its dataset, now or before an interruption."""
        return self.work.exists()

    @property
    def dataset_record(self) -> Path:
        """File with the verdict of the checks of the dataset."""
        return self.work / "dataset.json"

    @property
    def passed_checks(self) -> bool:
        """Whether the dataset passed its checks, now or before an interruption: only then can it be resumed."""
        return self.fingerprint.exists()

    @property
    def status(self) -> TrainingStatus:
        """Content of status.json."""
        return read_status(self.directory) or TrainingStatus(self.name, "running", started=self.started)

    def write_status(self, status: TrainingStatus) -> None:
        """Replace status.json, unless the training has ended."""
        with self._writing:
            if not self.ended.is_set():
                durable.write_json(self.directory / STATUS, dataclasses.asdict(status))

    def end(self, state: State, message: str, error: str = "") -> None:
        """Record the end of a training without a model; only the first call has an effect.

        Files that a resumed training can use are kept, the unfinished model is removed.
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

    def forget_learning(self, kept: Collection[str]) -> None:
        """Remove what was learned from the dataset so far, besides the entries `kept` of the folder `work`."""
        for path in self.work.iterdir():
            if path.name not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def publish(self) -> None:
        """Move the complete model to its final folder by one rename, and remove the folder of the training."""
        durable.sync_tree(self.bundle)
        with self._writing:
            os.rename(self.bundle, self.destination)
            self.ended.set()
        durable.sync_directory(self.destination.parent)
        self.remove()

    def remove(self) -> None:
        """Remove the folder of the training."""
        with self._writing:
            self.ended.set()
            shutil.rmtree(self.directory)


def read_status(directory: Path) -> TrainingStatus | None:
    """Read status.json; None if it is missing.

    A training whose status cannot be read is still listed: it can be running, and it takes up space. Its message is
    the reason.
    """
    path = directory / STATUS
    try:
        return dataclasses.replace(_status_from(read_json(path, _MAX_STATUS_BYTES)), name=directory.name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnreadableError) as error:
        message = (
            f"{path}: expected the status of a training, received: {describe(error)}. If it is not running, remove it: "
            f"topgraft models remove {directory.name}"
        )
        return TrainingStatus(directory.name, "running", message=message)


def _status_from(content: object) -> TrainingStatus:
    if isinstance(content, dict) and isinstance(content.get("metrics"), dict):
        # `to_json` writes null for a loss that is not a number.
        content |= {"metrics": {name: value for name, value in content["metrics"].items() if value is not None}}
    return record_from(TrainingStatus, content)


def read_config(directory: Path) -> TrainConfig:
    """Read the options of the training in `directory`; missing options have their defaults."""
    path = directory / CONFIG
    try:
        stored = read_json(path, MAX_FILE_BYTES)
        if not isinstance(stored, dict):
            raise UnreadableError(quoted(stored))
        return load(TrainConfig, stored)
    except (OSError, UnreadableError, ConfigError) as error:
        reason = error.message if isinstance(error, ConfigError) else describe(error)
        raise ConfigError(
            f"{path}: expected the options of a training as JSON, received: {reason}. "
            f"Remove it and train again: topgraft models remove {directory.name}"
        ) from error


def take_lock(directory: Path) -> FileLock:
    """Take the lock of a training.

    Raises:
        TrainingBusyError: another process holds it.
    """
    try:
        return FileLock.take(directory / LOCK, _UNGUARDED, _SECONDS_OF_A_CHECK)
    except BlockingIOError:
        raise TrainingBusyError(f"the training {directory.name} is running in another process.") from None


def is_locked(directory: Path) -> bool:
    """Whether a process holds the lock of a training."""
    return is_held(directory / LOCK)


def lock_workspace(workspace: Workspace) -> AbstractContextManager[None]:
    """Wait for the lock under which trainings of a workspace are started, and hold it."""
    return exclusive(workspace.running / LOCK, _UNGUARDED)
