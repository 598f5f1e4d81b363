"""The trials of a tuning: what each tried and how its answers were, kept on disk after each one."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from model.evaluation.paired import ScoredPredictions
from model.training.checkpoints import Checkpoints

Changes = Mapping[str, Any]
"""The options of a trial that differ from those that the tuning began with: name -> value."""


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """One candidate, measured.

    Attributes:
        changes: what distinguishes it.
        value: by which candidates are compared, the lower, the better; infinite where it cannot be trained.
        predictions: the out-of-fold predictions that the value comes from.
        seconds: what it took.
        asked: how many candidates the sampler had been asked for before this one; None where nobody was asked.
    """

    changes: dict[str, Any]
    value: float
    predictions: ScoredPredictions
    seconds: float
    asked: int | None = None


@dataclasses.dataclass(frozen=True)
class MeasuredBackbone:
    """What a backbone costs.

    Attributes:
        latency_ms: of one decoded photo, by ONNX Runtime with the threads of the service, in milliseconds.
        size_mb: of the file model.onnx, in millions of bytes.
    """

    latency_ms: float
    size_mb: float


class Trials:
    """All that a tuning has found out so far, in the order in which it did; a killed one goes on with it.

    Attributes:
        done: the trials.
        backbones: name -> what it costs.
        left_out: backbone -> why it was not tried.
        seconds: time used so far.
        finished: whether there is nothing left to do but to choose.
    """

    def __init__(self, directory: Path) -> None:
        self._checkpoints = Checkpoints(directory)
        self.done: list[Trial] = []
        self.backbones: dict[str, MeasuredBackbone] = {}
        self.left_out: dict[str, str] = {}
        self.seconds = 0.0
        self.finished = False
        self._restore()

    def find(self, changes: Changes) -> Trial | None:
        """The trial of this candidate, if there was one."""
        return next((trial for trial in self.done if trial.changes == changes), None)

    def save(self, seconds: float) -> None:
        """Write everything down."""
        self.seconds = seconds
        trials = [
            {"changes": trial.changes, "value": trial.value, "seconds": trial.seconds, "asked": trial.asked}
            for trial in self.done
        ]
        state = {
            "trials": trials,
            "backbones": {name: dataclasses.asdict(measured) for name, measured in self.backbones.items()},
            "left_out": self.left_out,
            "seconds": self.seconds,
            "finished": self.finished,
        }
        arrays = {}
        if self.done:
            arrays["losses"] = np.stack([trial.predictions.losses for trial in self.done])
            arrays["answers"] = np.stack([trial.predictions.predicted for trial in self.done])
        self._checkpoints.save(arrays, state)

    def _restore(self) -> None:
        saved = self._checkpoints.latest()
        if saved is None:
            return
        arrays, state = saved
        self.done = [
            Trial(predictions=ScoredPredictions(arrays["losses"][index], arrays["answers"][index]), **row)
            for index, row in enumerate(state["trials"])
        ]
        self.backbones = {name: MeasuredBackbone(**measured) for name, measured in state["backbones"].items()}
        self.left_out, self.seconds, self.finished = state["left_out"], state["seconds"], state["finished"]
