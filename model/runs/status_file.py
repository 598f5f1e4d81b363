"""Progress of a running training, written to status.json."""

import contextlib
import dataclasses
import os
import time

from model.results import UNITS, Progress, State
from model.runs import Run
from model.runs.curves import CurveWriter

_SECONDS_BETWEEN_WRITINGS = 0.5


class StatusFile:
    """`Progress` that updates status.json and forwards every report."""

    def __init__(self, run: Run, progress: Progress) -> None:
        self._run, self._progress = run, progress
        self._curves = CurveWriter(run.directory)
        run.write_status(dataclasses.replace(run.status, pid=os.getpid()))
        self._status = run.status
        self._begun = self._phase_start = self._written = time.monotonic()
        self._used_before = self._status.seconds_used
        self._done_before = 0.0

    def begin(self) -> None:
        """Record the start of the training, at once or after the queue."""
        self._status = self._run.status
        self._begun = time.monotonic()

    def __call__(self, phase: str, done: int, total: int, /, **metrics: float) -> None:
        moment = time.monotonic()
        so_far = done + metrics.get("step", 0) / metrics.get("steps", 1)
        if phase != self._status.phase:
            # The first report of a phase includes steps done before, whose duration is unknown.
            self._phase_start, self._written, self._done_before = moment, 0.0, so_far
        elapsed, steps = moment - self._phase_start, so_far - self._done_before
        speed = steps / elapsed if steps > 0 and elapsed > _SECONDS_BETWEEN_WRITINGS else None
        self._status = dataclasses.replace(
            self._status,
            phase=phase,
            epoch=done,
            epochs=total,
            eta_seconds=(total - so_far) / speed if speed else None,
            per_second=speed,
            unit=UNITS.get(phase, "steps"),
            metrics=metrics,
            seconds_used=self._used_before + moment - self._begun,
        )
        self._curves.add(phase, done, metrics)
        if done == total or moment - self._written > _SECONDS_BETWEEN_WRITINGS:
            self._run.write_status(self._status)
            self._curves.flush()
            self._written = moment
        self._progress(phase, done, total, **metrics | self._status.pace)

    def end(self, state: State, message: str, error: BaseException | None = None) -> None:
        """Record the end of a training without a model; files that a resumed training can use are kept.

        Args:
            error: error of a failed training.
        """
        with contextlib.suppress(OSError):
            if self._status.state == "running":
                self._run.write_status(self._status)
            self._run.end(state, message, type(error).__name__ if error else "")
