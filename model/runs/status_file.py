"""What a training does now, written down for whoever looks from outside."""

import contextlib
import dataclasses
import os
import time

from model.results import UNITS, Progress, State
from model.runs import Reservation

_SECONDS_BETWEEN_WRITINGS = 0.5


class StatusFile:
    """A `Progress` that keeps status.json up to date, and passes everything on."""

    def __init__(self, reservation: Reservation, progress: Progress) -> None:
        self._reservation, self._progress = reservation, progress
        reservation.write_status(dataclasses.replace(reservation.status, pid=os.getpid()))
        self._status = reservation.status
        self._begun = self._phase_start = self._written = time.monotonic()
        self._used_before = self._status.seconds_used
        self._done_before = 0.0

    def begin(self) -> None:
        """It is the training's turn."""
        self._status = self._reservation.status
        self._begun = time.monotonic()

    def __call__(self, phase: str, done: int, total: int, /, **metrics: float) -> None:
        moment = time.monotonic()
        so_far = done + metrics.get("step", 0) / metrics.get("steps", 1)
        if phase != self._status.phase:
            # The first report comes with steps done, in no time that could be told: of a resumed phase, many.
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
        if done == total or moment - self._written > _SECONDS_BETWEEN_WRITINGS:
            self._reservation.write_status(self._status)
            self._written = moment
        self._progress(phase, done, total, **metrics | self._status.pace)

    def end(self, state: State, message: str, error: BaseException | None = None) -> None:
        """Write down how a training that gives no model ended; what a resumed one can use stays.

        Args:
            error: what made it fail, if it did.
        """
        with contextlib.suppress(OSError):
            if self._status.state == "running":
                self._reservation.write_status(self._status)
            self._reservation.end(state, message, type(error).__name__ if error else "")
