"""Measures what a training takes while it reports its progress."""

import time

from model.energy import EnergyMeter
from model.resources import peak_memory
from model.results import Progress
from model.training_cost import TrainingCost


class CostMeter:
    """`Progress` that forwards every report, and reads the counters of energy, which return to zero from time to time.

    Attributes:
        seconds: since the start of the training in this process.
    """

    def __init__(self, progress: Progress, seconds_before: float) -> None:
        """Args:
        seconds_before: duration of the training in earlier processes.
        """
        self._progress, self._seconds_before = progress, seconds_before
        self._clock, self._energy = time.perf_counter(), EnergyMeter()

    def __call__(self, phase: str, done: int, total: int, /, **metrics: float) -> None:
        self._energy.update()
        self._progress(phase, done, total, **metrics)

    @property
    def seconds(self) -> float:
        return round(time.perf_counter() - self._clock, 1)

    @property
    def energy_off(self) -> str:
        """Reason why the energy is not measured; empty if it is."""
        if self._energy.joules is None:
            return "the system shows no counter of it to this program"
        # Nothing counted the energy between two processes.
        return "the training was resumed" if self._seconds_before else ""

    def cost(self) -> TrainingCost:
        """What the training took so far; the speed of its network is not known here."""
        joules = None if self.energy_off else self._energy.joules
        return TrainingCost(round(self._seconds_before + self.seconds, 1), peak_memory(), joules)
