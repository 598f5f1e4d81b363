"""Drift checks: their schedule, and the check in a child process, which writes `drift.json` next to the counts.

A child process is used because SciPy takes more memory than anything else in a worker except its models.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model import durable
from model.errors import ModelError, TopgraftError
from model.processes import answer_parent, run_child
from model.provenance import utc_now, utc_today
from model.reading import with_path
from model.usage.drift import MIN_PHOTOS, judge_drift
from model.usage.record import Record
from model.usage.store import DRIFT, ModelVersion, UsageStore, days_before, model_version
from model.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

DAYS = 7
"""Default number of days that a check covers, including today."""

SECONDS_BETWEEN_CHECKS = 600.0
_MIN_SECONDS_BETWEEN_CHECKS = 10.0
# A check computes for seconds, but waits while processes of higher priority use all processors.
_SECONDS_FOR_A_CHECK = 600.0
_NICENESS = 10

log = logging.getLogger(__name__)


class DriftChecks:
    """Schedule of the drift checks of one worker; the checks of other workers are known by the files they wrote.

    Args:
        check: checks the model in a folder and writes the result, such as `check_in_child`.
    """

    def __init__(self, workspace: Workspace, store: UsageStore, check: Callable[[Path], None]) -> None:
        self._workspace, self._store, self._check = workspace, store, check
        self._not_before: dict[ModelVersion, float] = {}
        self._waiting: set[ModelVersion] = set()
        self._is_checking = False
        self._lock = threading.Lock()

    def start(self, models: Collection[ModelVersion]) -> None:
        """Check the models that are due, in a thread, because a check takes seconds."""
        with self._lock:
            self._waiting.update(models)
            if self._is_checking or not self._waiting:
                return
            self._is_checking = True
        threading.Thread(target=self._check_waiting, name="drift", daemon=True).start()

    def _check_waiting(self) -> None:
        """Check the models that wait, and those that come to wait during a check."""
        while models := self._take_waiting():
            for version in models:
                self._check_if_due(version)

    def _take_waiting(self) -> set[ModelVersion]:
        with self._lock:
            models, self._waiting = self._waiting, set()
            self._is_checking = bool(models)
        return models

    def _check_if_due(self, version: ModelVersion) -> None:
        if self._seconds_left(version) <= 0 and self._seconds_since_last(version) > SECONDS_BETWEEN_CHECKS:
            self._try_check(version)
        # The photos of a first verdict may have come during a check, and no request may come after it.
        while self._first_verdict_is_due(version) and self._seconds_left(version) <= _MIN_SECONDS_BETWEEN_CHECKS:
            time.sleep(max(0.0, self._seconds_left(version)))
            self._try_check(version)

    def _first_verdict_is_due(self, version: ModelVersion) -> bool:
        """Whether there are enough photos now, but were not at the last check."""
        last = self._store.drift(version) or {}
        too_few = last.get("verdict") == "too few photos"
        return too_few and sum_of_last_days(self._store.days(version)).sample.distinct >= MIN_PHOTOS

    def _seconds_left(self, version: ModelVersion) -> float:
        """Seconds until this worker may check a model; negative if it may."""
        return self._not_before.get(version, 0.0) - time.monotonic()

    def _seconds_since_last(self, version: ModelVersion) -> float:
        try:
            return time.time() - (self._store.folder(version) / DRIFT).stat().st_mtime
        except OSError:
            return float("inf")

    def _try_check(self, version: ModelVersion) -> None:
        pause = _MIN_SECONDS_BETWEEN_CHECKS
        try:
            self._check(self._workspace.models / version.model)
        except (TopgraftError, OSError) as error:
            log.warning("the drift of %s could not be checked: %s", version.model, with_path(error))
            pause = SECONDS_BETWEEN_CHECKS
        self._not_before[version] = time.monotonic() + pause


def sum_of_last_days(days: Mapping[str, Record], count: int = DAYS) -> Record:
    """The sum of the records of the last `count` days."""
    since = days_before(utc_today(), count - 1)
    total = Record()
    for day, record in days.items():
        if day >= since:
            total.merge(record)
    return total


def drift_of_last_days(held_out: "np.ndarray | None", days: Mapping[str, Record]) -> dict[str, Any]:
    """Drift of the last days together as JSON (`model.usage.drift.Drift`), and of the latest day with enough photos.

    The latest day is checked separately because its drift would not be noticed among the photos of many days.

    Args:
        held_out: as returned by `model.serving.held_out_features.read_held_out`.
        days: day -> its record, oldest first.
    """
    since = days_before(utc_today(), DAYS - 1)
    sufficient = [day for day, record in days.items() if day >= since and record.sample.distinct >= MIN_PHOTOS]
    latest = None
    if sufficient:
        latest = {"day": sufficient[-1], **judge_drift(held_out, days[sufficient[-1]].sample.rows).to_json()}
    together = judge_drift(held_out, sum_of_last_days(days).sample.rows)
    return {**together.to_json(), "days": DAYS, "latest_day": latest}


def check_in_child(model: Path) -> None:
    """Check the drift of a model in a child process.

    Raises:
        TopgraftError, OSError: the check failed.
    """
    task = f"drift check of {model.name}"
    run_child(__name__, model, task=task, failure=ModelError, niceness=_NICENESS, seconds=_SECONDS_FOR_A_CHECK)


def main(model: str) -> int:
    """Main function of the child process: check the last days and write the result to drift.json."""
    return answer_parent(lambda: _check(Path(model)), f"drift check of {Path(model).name}")


def _check(model: Path) -> None:
    from model.bundle import open_bundle
    from model.serving.held_out_features import read_held_out

    bundle = open_bundle(model)
    store, version = UsageStore(Workspace(bundle.directory.parent.parent)), model_version(bundle.name, bundle.manifest)
    drift = drift_of_last_days(read_held_out(bundle), store.days(version))
    durable.write_json(store.folder(version) / DRIFT, drift | {"looked": utc_now()})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
