"""When to look at the drift of a model, and by whom: a child process, now and then, while the model is used."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from model.usage.drift import FEWEST_PHOTOS
from model.usage.store import DRIFT, UsageStore, Watched
from model.usage.window import within
from model.workspace import Workspace

SECONDS_BETWEEN_LOOKS = 600.0
_LEAST_SECONDS_BETWEEN_LOOKS = 10.0
_SECONDS_FOR_A_LOOK = 60.0

log = logging.getLogger(__name__)


class Looks:
    """The looks that one worker has done; another worker's are seen by what it wrote down."""

    def __init__(self, workspace: Workspace, store: UsageStore, look: Callable[[Path], None]) -> None:
        self._workspace, self._store, self._look = workspace, store, look
        self._not_before: dict[Watched, float] = {}
        self._waiting: set[Watched] = set()
        self._thread: threading.Thread | None = None

    def start(self, models: Collection[Watched]) -> None:
        """Look at these models where it is time to, in a thread of its own: a look takes a second or more."""
        self._waiting.update(models)
        if self._thread is not None and self._thread.is_alive():
            return
        now, self._waiting = self._waiting, set()
        self._thread = threading.Thread(target=self._look_at, args=(now,), name="drift", daemon=True)
        self._thread.start()

    def _look_at(self, models: Collection[Watched]) -> None:
        for of in models:
            if time.monotonic() >= self._not_before.get(of, 0.0) and self._is_time(of):
                pause = _LEAST_SECONDS_BETWEEN_LOOKS if self._could_look(of) else SECONDS_BETWEEN_LOOKS
                self._not_before[of] = time.monotonic() + pause

    def _is_time(self, of: Watched) -> bool:
        if self._seconds_since_the_last(of) > SECONDS_BETWEEN_LOOKS:
            return True
        # Whoever waits for the first verdict shall not wait for ten minutes.
        last = self._store.drift(of) or {}
        waiting = last.get("verdict") == "too few photos"
        return waiting and within(self._store.days(of)).sample.distinct >= FEWEST_PHOTOS

    def _seconds_since_the_last(self, of: Watched) -> float:
        try:
            return time.time() - (self._store.folder(of) / DRIFT).stat().st_mtime
        except OSError:
            return float("inf")

    def _could_look(self, of: Watched) -> bool:
        try:
            self._look(self._workspace.models / of.model)
        except subprocess.CalledProcessError as error:
            said = (error.stderr or b"").decode(errors="replace").strip().splitlines()
            log.warning("the drift of %s could not be looked at: %s", of.model, said[-1] if said else error)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("the drift of %s could not be looked at: %s", of.model, error)
        else:
            return True
        return False


def look_in_a_process_of_its_own(model: Path) -> None:
    """Let a child look at the drift of the model in this folder, and wait for it: `model.usage.look`.

    Raises:
        subprocess.SubprocessError, OSError: it could not.
    """
    subprocess.run(  # nosec B603: no shell, our own arguments
        [sys.executable, "-m", "model.usage.look", str(model)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        timeout=_SECONDS_FOR_A_LOOK,
        check=True,
    )
