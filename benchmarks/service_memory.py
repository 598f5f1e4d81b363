"""Memory of a running service over time, and its growth."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Sequence

import numpy as np
import psutil
from scipy import stats

from tests.support.processes import MEGABYTE

PARTS = 20


@dataclasses.dataclass(frozen=True)
class Slope:
    """Growth in megabytes per hour, with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.1f} MB/h ({self.low:+.1f} to {self.high:+.1f})"


def slope_of(samples: Sequence[tuple[float, float]]) -> Slope:
    """Slope of a line through the means of `PARTS` equal periods, after the first tenth of the samples.

    Args:
        samples: time in hours, megabytes.
    """
    settled = np.array(samples)[len(samples) // 10 :]
    means = np.array([part.mean(axis=0) for part in np.array_split(settled, PARTS) if len(part)])
    line = stats.linregress(means[:, 0], means[:, 1])
    # A constant has no error.
    margin = float(np.nan_to_num(stats.t.ppf(0.975, len(means) - 2) * line.stderr))
    return Slope(line.slope, line.slope - margin, line.slope + margin)


class Memory:
    """Memory of the server and its workers, sampled by a thread.

    Attributes:
        samples: time in hours, megabytes of all processes, megabytes of the main process.
        mains: main processes found; more than one if it was restarted.
    """

    def __init__(self, supervisor: psutil.Process, every: float) -> None:
        self.samples: list[tuple[float, float, float]] = []
        self.mains: set[psutil.Process] = set()
        self._supervisor, self._every = supervisor, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def slope(self, column: int) -> Slope:
        """Slope of a line through means over time; column 1: all processes, 2: the main process."""
        return slope_of([(sample[0], sample[column]) for sample in self.samples])

    def highest(self) -> float:
        """Peak memory of all samples in megabytes."""
        return max(sample[1] for sample in self.samples)

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            try:
                [main] = self._supervisor.children()
                workers = [child for child in main.children() if "spawn_main" in " ".join(child.cmdline())]
                sizes = [process.memory_full_info().pss / MEGABYTE for process in (main, *workers)]
            except (psutil.Error, ValueError):
                continue  # A worker is being replaced.
            self.mains.add(main)
            self.samples.append((time.monotonic() / 3600, sum(sizes), sizes[0]))


class ProcessMemory:
    """Memory of each process below another, sampled by a thread.

    Attributes:
        samples: process -> (time in hours, megabytes in RAM), one after the other.
    """

    def __init__(self, root: psutil.Process, every: float) -> None:
        self.samples: dict[psutil.Process, list[tuple[float, float]]] = {}
        self.names: dict[psutil.Process, str] = {}
        self._root, self._every = root, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "ProcessMemory":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            for process in (self._root, *self._root.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    self.names.setdefault(process, role(process.cmdline()))
                    sample = (time.monotonic() / 3600, process.memory_info().rss / MEGABYTE)
                    self.samples.setdefault(process, []).append(sample)


def role(command: Sequence[str]) -> str:
    """What a process of the service does, by its command line."""
    text = " ".join(command)
    return next((name for part, name in _ROLES.items() if part in text), "other")


# A part of the command line -> role; the first that fits counts.
_ROLES = {
    "decoding_child": "decoding",
    "model.runs.process": "training",
    "spawn_main": "worker",
    "resource_tracker": "resource tracker",
    "deepaas-run": "main process",
    "topgraft": "supervisor",
}
