"""The values that walk between rooms: samples, datasets, predictions, the state of a training."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from model.backbones import find_backbone
from model.config import RESIZE_MODES, TrainConfig

if TYPE_CHECKING:
    import numpy as np

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

Measurement = Literal["test", "cross_validation", "val"]
MEASUREMENTS: tuple[Measurement, ...] = ("test", "cross_validation", "val")
"""What the metrics of a trained model may be of: test images; every image it could learn from, answered by a head
that learned without it; validation images, which chose the settings. The most telling comes first."""

State = Literal["queued", "running", "done", "failed", "cancelled", "killed", "interrupted"]
"""How a training is.

queued: waits for its turn. running: trains. done: is a model. failed: our own code ended it, with an error.
cancelled: a person ended it. killed: the system killed its process, as it does when memory runs out. interrupted:
its process went away with what it ran in, and nobody could write anything. The last four can be gone on with.
"""
UNDER_WAY: tuple[State, ...] = ("queued", "running")

UNITS = {
    "check": "images",
    "features": "images",
    "fine_tune_inputs": "images",
    "head": "epochs",
    "fine_tune": "epochs",
    "cross_validation": "folds",
    "download": "kB",
    "upload": "kB",
    "verify": "kB",
}
"""What the steps of a phase are; those of any other are just steps."""


def most_telling(measured: Iterable[str]) -> Measurement | None:
    """Which of the measurements of a model to judge it by; None where there is none that is known."""
    there = set(measured)
    return next((name for name in MEASUREMENTS if name in there), None)


SECONDS_LEFT = "eta_seconds"
"""The metric of a `Progress` that tells how long the phase will still take."""


class Progress(Protocol):
    """Called as work goes on, from the thread that does it."""

    def __call__(self, phase: str, done: int, total: int, /, **metrics: float) -> None:
        """`done` of `total` steps of `phase` are over; `metrics` are the latest, such as loss."""


def no_progress(phase: str, done: int, total: int, /, **metrics: float) -> None:
    """A `Progress` that tells nobody."""


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """The input of a network: images uint8 (height, width, 3), and how an image is resized to that.

    Attributes:
        height, width: in pixels.
        resize: `squash` changes the aspect ratio, `pad` adds a gray border, `crop` takes the centre.

    Raises:
        ValueError: an unknown way to resize.
    """

    height: int
    width: int
    resize: str = "squash"

    def __post_init__(self) -> None:
        if self.resize not in RESIZE_MODES:
            raise ValueError(f"resize: expected one of {', '.join(RESIZE_MODES)}, received {self.resize!r}")

    @classmethod
    def square(cls, side: int, resize: str = "squash") -> "InputSpec":
        """The input with this height and width, in pixels."""
        return cls(side, side, resize)

    @classmethod
    def from_config(cls, config: TrainConfig) -> "InputSpec":
        """The input of the network that a training makes."""
        return cls.square(config.image_size or find_backbone(config.backbone).image_size, config.resize)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one image: (height, width, 3)."""
        return self.height, self.width, 3


@dataclasses.dataclass(frozen=True)
class Sample:
    """One labelled image: where it is, its path inside the dataset (with `/`), its class index."""

    path: Path
    name: str
    label: int


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Class names in label order, and the samples of each split."""

    root: Path
    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]

    def split(self, name: Split) -> tuple[Sample, ...]:
        """The samples of one split."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The samples of all splits: train, then val, then test."""
        return self.train + self.val + self.test


UnknownReason = Literal["", "confidence", "features", "confidence and features"]
"""Why an image counts as unknown: the model is not sure enough, or the image is far from all training images."""


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """A training image that is like another image.

    Attributes:
        image: its path inside the dataset.
        label: the name of its class.
        distance: of the features, each brought to length 1: 0 for the same image, up to 2.
    """

    image: str
    label: str
    distance: float


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a model says of one image, or why it says nothing.

    Attributes:
        image: the name of the image, as the caller knows it.
        labels: the top-k class names, most probable first; empty when there is an error.
        probabilities: theirs, in [0, 1], calibrated.
        unknown: whether the model does not know: its confidence is below its threshold, or the image is
            farther from the training images than the threshold allows.
        error: why the image could not be classified, else None.
        unknown_reason: which of the two, or both; empty where it is not unknown.
        unknown_explanation: the same with the numbers.
        distance: from the training images; None where the model does not remember them.
        neighbours: the most similar training images, nearest first, as many as were asked for.
        components: of the features, along axes of the training images; no part of the answer.
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

    def to_json(self) -> dict[str, Any]:
        """The prediction as one object of the JSON answer, with those keys only that there is something to say of."""
        answer: dict[str, Any] = {"image": self.image}
        if self.error is not None:
            return answer | {"error": self.error}
        answer |= {
            "labels": list(self.labels),
            "probabilities": [float(value) for value in self.probabilities],
            "unknown": self.unknown,
        }
        if self.unknown:
            answer |= {"unknown_reason": self.unknown_reason, "unknown_explanation": self.unknown_explanation}
        if self.distance is not None:
            answer["distance"] = float(self.distance)
        if self.neighbours is not None:
            answer["neighbours"] = [dataclasses.asdict(neighbour) for neighbour in self.neighbours]
        return answer

    @classmethod
    def from_json(cls, answer: dict[str, Any]) -> "Prediction":
        """The prediction that `to_json` made this object of.

        Raises:
            KeyError, TypeError: it is another object.
        """
        known = {field.name: answer[field.name] for field in dataclasses.fields(cls) if field.name in answer}
        for name in ("labels", "probabilities"):
            known[name] = tuple(known.get(name, ()))
        if "neighbours" in known:
            known["neighbours"] = tuple(Neighbour(**neighbour) for neighbour in known["neighbours"])
        return cls(**known)


@dataclasses.dataclass(frozen=True)
class TrainingStatus:
    """The content of `status.json` of a training under way or over.

    Attributes:
        phase: what it is doing: start, check, prepare (loading the backbone), features, head,
            cross_validation, fine_tune_inputs, fine_tune, export, report; before features: tune.
        epoch, epochs: of the phase; folds of cross_validation, images for other phases without epochs.
        eta_seconds: time left in the phase, None while unknown.
        per_second: epochs, or images, of the phase in a second so far, None while unknown.
        metrics: the latest, such as loss and val_accuracy.
        message: one sentence for people; for a failed training, why and what to do.
        error: of a failed training, the name of the class of its error (`model.errors`).
        pid: the process that trains.
        seconds_used: how long it has trained, before interruptions too; turns waited for do not count.
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
        """For a `Progress`, where known: images or epochs in a second, as `images/s`, and `eta_seconds`."""
        if self.per_second is None:
            return {}
        pace = {f"{self.unit}/s": self.per_second}
        return pace if self.eta_seconds is None else pace | {SECONDS_LEFT: self.eta_seconds}


def labels_of(samples: Sequence[Sample]) -> "np.ndarray":
    """The class indices of samples, int64 (n,)."""
    import numpy as np

    return np.array([sample.label for sample in samples], dtype=np.int64)
