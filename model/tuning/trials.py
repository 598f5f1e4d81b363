"""The trials of a search: options and out-of-fold predictions of each, saved after every trial."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from model.evaluation.paired import ScoredPredictions
from model.training.checkpoints import Checkpoints

Changes = Mapping[str, Any]
"""The options of a trial that differ from those of the search: name -> value."""


TRIALS = "tune"
"""Folder of the trials, in the work directory."""


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """One measured candidate.

    Attributes:
        changes: options that differ from the original ones.
        value: the objective, lower is better; infinite if it cannot be trained.
        predictions: the out-of-fold predictions that the value comes from.
        seconds: duration of the trial.
        asked: the number of requests to the sampler up to this one; None if the sampler did not propose it.
    """

    changes: dict[str, Any]
    value: float
    predictions: ScoredPredictions
    seconds: float
    asked: int | None = None


@dataclasses.dataclass(frozen=True)
class MeasuredBackbone:
    """The cost of a backbone.

    Attributes:
        latency_ms: for one decoded image by ONNX Runtime with the threads of the service, in milliseconds.
        size_mb: size of model.onnx, in millions of bytes.
    """

    latency_ms: float
    size_mb: float


class Trials:
    """The state of a search, from which an interrupted one is resumed.

    Attributes:
        done: the trials, in their order.
        backbones: name -> its cost.
        left_out: backbone -> why it was not tried.
        seconds: time used so far.
        finished: whether all trials are done.
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
        """The trial of this candidate, or None."""
        return next((trial for trial in self.done if trial.changes == changes), None)

    def save(self, seconds: float) -> None:
        """Save the state; `seconds` is the time used so far."""
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
