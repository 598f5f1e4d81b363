"""Recording of usage in a worker: counts are kept in memory, and written to disk every few seconds and at exit.

A process that is ended by a signal must call `Recorder.write` first.
"""

import atexit
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from model.provenance import utc_today
from model.reading import with_path
from model.usage.drift_check import DriftChecks, check_in_child
from model.usage.record import Record
from model.usage.store import NO_MODEL, ModelVersion, UsageStore
from model.workspace import Workspace

SECONDS_BETWEEN_WRITES = 3.0

log = logging.getLogger(__name__)


class Recorder:
    """Collects records and adds them to those on disk. Safe to use from several threads at once.

    Args:
        seconds_between_writes: minimum; counts since the last write are lost when the process is killed.
        check: checks the drift of the model in a folder and writes the result.
    """

    def __init__(
        self,
        workspace: Workspace,
        seconds_between_writes: float = SECONDS_BETWEEN_WRITES,
        check: Callable[[Path], None] = check_in_child,
    ) -> None:
        self._store = UsageStore(workspace)
        self._drift_checks = DriftChecks(workspace, self._store, check)
        self._seconds = seconds_between_writes
        self._new: dict[tuple[ModelVersion, str], Record] = {}
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._any_new = threading.Event()
        self._thread: threading.Thread | None = None
        self._problem = ""

    def add(self, version: ModelVersion, record: Record) -> None:
        """Add the counts of one request."""
        with self._lock:
            self._new.setdefault((version, utc_today()), Record()).merge(record)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_now_and_then, name="usage", daemon=True)
                self._thread.start()
                atexit.register(self.write)
        self._any_new.set()

    def write(self) -> None:
        """Write new counts to disk; those that cannot be written are kept, and the reason is logged."""
        with self._writing:
            self._any_new.clear()
            with self._lock:
                new, self._new = self._new, {}
            for (version, day), record in new.items():
                self._write_or_keep(version, day, record)

    def _write_or_keep(self, version: ModelVersion, day: str, record: Record) -> None:
        try:
            self._store.add(version, day, record)
        except OSError as error:
            with self._lock:
                self._new.setdefault((version, day), Record()).merge(record)
            self._any_new.set()
            if with_path(error) != self._problem:
                log.warning("usage counts cannot be written yet: %s", with_path(error))
            self._problem = with_path(error)
        else:
            self._problem = ""

    def _write_now_and_then(self) -> None:
        pause = threading.Event()
        while self._any_new.wait():
            pause.wait(self._seconds)
            with self._lock:
                models = {version for version, _ in self._new if version != NO_MODEL}
            self.write()
            self._drift_checks.start(models)
