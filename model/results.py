"""Data classes shared by the packages: samples, datasets, predictions, states of a training."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from model.backbones import find_backbone
from model.config import RESIZE_MODES, TrainConfig
from model.intensity import FULL, Intensity
from model.received import quoted
from model.records import record_from

if TYPE_CHECKING:
    import numpy as np

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

State = Literal["queued", "running", "done", "failed", "cancelled", "killed", "interrupted"]
"""State of a training.

queued: in the queue. running: training. done: a trained model. failed: ended with an error. cancelled: ended by the
user. killed: its process was killed by the system, for example when memory ran out. interrupted: its process
disappeared without recording an end, for example when the machine stopped. The last four can be resumed.
"""
ACTIVE_STATES: tuple[State, ...] = ("queued", "running")

UNITS = {
    "check": "images",
    "featurize": "images",
    "pca": "parts",
    "features": "images",
    "fine_tune_inputs": "images",
    "head": "epochs",
    "fine_tune": "epochs",
    "cross_validation": "folds",
    "download": "kB",
    "upload": "kB",
    "verify": "kB",
}
"""Unit of the steps of a phase; other phases count steps without a unit."""


SECONDS_LEFT = "eta_seconds"
"""Metric of a `Progress` that holds the remaining seconds of the phase."""


class Progress(Protocol):
    """Callback that reports progress; called in the thread that does the work."""

    def __call__(self, phase: str, done: int, total: int, /, **metrics: float) -> None:
        """Report that `done` of `total` steps of `phase` are finished; `metrics` are the latest, such as loss."""


def no_progress(phase: str, done: int, total: int, /, **metrics: float) -> None:
    """`Progress` that reports nothing."""


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """Input of a network: images uint8 (height, width, 3), and the way an image is brought to that.

    Attributes:
        height, width: size in pixels.
        resize: `squash` changes the aspect ratio, `pad` adds a gray border, `crop` takes the centre.
        intensity: how photos with more than 8 bits per channel are reduced to 8.

    Raises:
        ValueError: unknown resize mode.
    """

    height: int
    width: int
    resize: str = "squash"
    intensity: Intensity = FULL

    def __post_init__(self) -> None:
        if self.resize not in RESIZE_MODES:
            raise ValueError(f"resize: expected one of {', '.join(RESIZE_MODES)}, received {quoted(self.resize)}")

    @classmethod
    def square(cls, side: int, resize: str = "squash", intensity: Intensity = FULL) -> "InputSpec":
        """Square input of this height and width, in pixels."""
        return cls(side, side, resize, intensity)

    @classmethod
    def from_config(cls, config: TrainConfig, intensity: Intensity) -> "InputSpec":
        """Input of the network that a training with these options, and this intensity range, produces."""
        return cls.square(config.image_size or find_backbone(config.backbone).image_size, config.resize, intensity)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: (height, width, 3)."""
        return self.height, self.width, 3


@dataclasses.dataclass(frozen=True)
class Sample:
    """Labelled image: its file, its path inside the dataset (with `/`), and its class index."""

    path: Path
    name: str
    label: int


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Dataset: class names in label order, and the samples of each split."""

    root: Path
    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]

    def split(self, name: Split) -> tuple[Sample, ...]:
        """Samples of one split."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Samples of all splits: train, val, test."""
        return self.train + self.val + self.test


UnknownReason = Literal["", "features"]
"""Why an image is marked unknown: its features are out-of-distribution."""


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """Training image similar to a predicted image.

    Attributes:
        image: path of the image inside the dataset.
        label: name of its class.
        distance: Euclidean distance of the features, each scaled to length 1, in [0, 2]; 0 for the same image.
    """

    image: str
    label: str
    distance: float


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Prediction for one image, or the error that prevented it.

    Attributes:
        image: name of the image, as given by the caller.
        labels: top-k class names, most probable first; empty if there is an error.
        probabilities: calibrated probabilities of these classes, in [0, 1].
        unknown: whether the image is out-of-distribution: its distance from the training images is above the threshold.
        error: reason why the image could not be classified; None otherwise.
        unknown_reason: `features` if the image is unknown, else empty.
        unknown_explanation: the reason as a sentence with the values.
        distance: distance from the training images; None if the model has no reference features.
        neighbours: most similar training images, nearest first, as many as requested.
        components: features projected on axes of the training images; not part of the answer.
        warning: why the prediction may be wrong although the image could be read; empty otherwise.
        uncertain: whether the confidence is below the threshold that keeps the target accuracy; an unknown image is not
            uncertain too.
        uncertain_explanation: the reason as a sentence with the values.
        second: the second most probable class of an uncertain prediction, also if `labels` has only one; else empty.
    """

    image: str
    labels: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    unknown: bool = False
    error: str | None = None
    unknown_reason: UnknownReason = ""
    unknown_explanation: str = ""
    distance: float | None = None
    neighbours: tuple[Neighbour, ...] | None = None
    components: tuple[float, ...] | None = dataclasses.field(default=None, compare=False)
    warning: str = ""
    uncertain: bool = False
    uncertain_explanation: str = ""
    second: str = ""

    @property
    def uncertain_between(self) -> str:
        """The two most probable classes of an uncertain prediction, such as `cat or dog`."""
        return f"{self.labels[0]} or {self.second}" if self.second else self.labels[0]

    def to_json(self) -> dict[str, Any]:
        """Convert to an object of the JSON answer; keys without a value are left out."""
        answer: dict[str, Any] = {"image": self.image}
        if self.error is not None:
            return answer | {"error": self.error}
        answer |= {
            "labels": list(self.labels),
            "probabilities": [float(value) for value in self.probabilities],
            "unknown": self.unknown,
            "uncertain": self.uncertain,
        }
        if self.unknown:
            answer |= {"unknown_reason": self.unknown_reason, "unknown_explanation": self.unknown_explanation}
        if self.warning:
            answer["warning"] = self.warning
        if self.uncertain:
            answer |= {"uncertain_explanation": self.uncertain_explanation, "second": self.second}
        if self.distance is not None:
            answer["distance"] = float(self.distance)
        if self.neighbours is not None:
            answer["neighbours"] = [dataclasses.asdict(neighbour) for neighbour in self.neighbours]
        return answer

    @classmethod
    def from_json(cls, answer: object) -> "Prediction":
        """Convert an object written by `to_json` back to a prediction.

        Raises:
            UnreadableError: the object is no prediction.
        """
        return record_from(cls, answer)


@dataclasses.dataclass(frozen=True)
class TrainingStatus:
    """Content of `status.json` of a training.

    Attributes:
        phase: current phase: start, check, prepare (loading the backbone), features, head,
            cross_validation, fine_tune_inputs, fine_tune, export, report; before features: tune.
        epoch, epochs: progress of the phase in epochs; in folds for cross_validation, in images for other phases.
        eta_seconds: remaining seconds of the phase, None while unknown.
        per_second: epochs or images per second of the phase so far, None while unknown.
        metrics: latest values, such as loss and val_accuracy.
        message: one sentence for the user; for a failed training, the reason and what to do.
        error: class name of the error of a failed training (`model.errors`).
        pid: process ID of the training.
        seconds_used: training time, including time before interruptions but not time in the queue.
    """

    name: str
    state: State
    phase: str = ""
    epoch: int = 0
    epochs: int = 0
    eta_seconds: float | None = None
    per_second: float | None = None
    unit: str = ""
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    message: str = ""
    error: str = ""
    pid: int = 0
    started: str = ""
    place: int = 0
    ticket: int = 0
    automatic_starts: int = 0
    checkpoint: str = ""
    seconds_used: float = 0.0

    @property
    def pace(self) -> dict[str, float]:
        """Metrics of a `Progress`, if known: `images/s` or `epochs/s`, and `eta_seconds`."""
        if self.per_second is None:
            return {}
        pace = {f"{self.unit}/s": self.per_second}
        return pace if self.eta_seconds is None else pace | {SECONDS_LEFT: self.eta_seconds}


def labels_of(samples: Sequence[Sample]) -> "np.ndarray":
    """Class indices of samples, int64 (n,)."""
    import numpy as np

    return np.array([sample.label for sample in samples], dtype=np.int64)
