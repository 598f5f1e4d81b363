"""Content of a report, from which the sections take their values."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from model.bundle import Manifest
from model.bundle_files import LABEL_ISSUES, PREDICTIONS
from model.dataset.verdict import Leakage, Rejected
from model.errors import DatasetError
from model.evaluation.confident_errors import ConfidentError
from model.evaluation.evaluate import Evaluation
from model.evaluation.learned_photos import LearnedFrom
from model.evaluation.photo_study import PhotoStudy
from model.measurements import MEASUREMENTS, PHOTOS_OF, Measurement, leading_measurement
from model.training_cost import TrainingCost

NO_FEATURES = "the features of the training photos are not recorded, as of an imported model"
"""Why the sections that need features are missing."""


@dataclasses.dataclass(frozen=True)
class EvaluatedDataset:
    """Dataset that a trained model was evaluated on.

    Attributes:
        name: the folder or archive, or `remote:path`.
        layout: description of its layout and splits; empty for a dataset without splits.
        split: the evaluated photos: `test`, `val`, or `all` of a dataset without splits.
        learned_from: which of the evaluated photos the model learned from.
        learned: photos of the split that the model learned from; they are left out, unless it learned from all.
        others: photos of classes that the model does not know, which are in none of the metrics.
        label_issues: name of the file with all suspected label errors, beside the report; empty without one.
    """

    name: str
    layout: str
    split: str
    learned_from: LearnedFrom = "none"
    learned: int = 0
    others: int = 0
    label_issues: str = ""

    @property
    def out_of_sample(self) -> bool:
        """Whether the model learned from none of the evaluated photos, as far as is recorded."""
        return self.learned_from in ("none", "unknown")

    @property
    def described(self) -> str:
        """The evaluated photos in words, such as `test photos`."""
        return PHOTOS_OF.get(self.split, "evaluated photos")


@dataclasses.dataclass(frozen=True)
class ReportContent:
    """Content of a report. Only `manifest` and one evaluation are required; sections without content are left out.

    Attributes:
        manifest: manifest of the model; its `files` may still be empty. The report shows its name, classes, settings,
            versions, temperature, `thresholds` and `dataset["counts"]` (split -> class -> images).
        evaluations: on `test`, `cross_validation`, `val`, or several of these. The report shows the
            `model.measurements.leading_measurement` in detail, and `val` with a warning.
        history: rows of results.csv in order: phase, epoch, loss, accuracy, val_loss, val_accuracy, learning_rate,
            seconds, val_macro_f1. Numbers may be NaN.
        uncalibrated: as `evaluations` -> probabilities float (n, classes) of the same images in the same order, with
            temperature 1; they show the effect of calibration.
        rejected: images that were left out, as in rejected.csv.
        leakage: images that splits have in common.
        warnings: sentences about the dataset or the training.
        confident_errors: from `model.evaluation.confident_errors.find_confident_errors`.
        tuning: content of tuning.json, if there was a hyperparameter search.
        study: examination of the photos; None where their features are unknown, as of an imported model.
        cost: what the training took so far; None to leave it out.
        energy_off: reason why the energy of the training was not measured; empty if it was.
        thumbnails: name of a photo -> content of a WebP file, from `model.evaluation.thumbnails`; photos without one
            are shown by their names.
        evaluated: the dataset of the evaluation, if it is not part of a training.

    Raises:
        DatasetError: there is no evaluation.
    """

    manifest: Manifest
    evaluations: Mapping[Measurement, Evaluation]
    history: Sequence[Mapping[str, Any]] = ()
    uncalibrated: Mapping[Measurement, np.ndarray] = dataclasses.field(default_factory=dict)
    rejected: Sequence[Rejected] = ()
    leakage: Sequence[Leakage] = ()
    warnings: Sequence[str] = ()
    confident_errors: Sequence[ConfidentError] = ()
    tuning: Mapping[str, Any] | None = None
    study: PhotoStudy | None = None
    cost: TrainingCost | None = None
    energy_off: str = ""
    thumbnails: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    evaluated: EvaluatedDataset | None = None

    def __post_init__(self) -> None:
        if not any(name in MEASUREMENTS for name in self.evaluations):
            names = ", ".join(MEASUREMENTS)
            raise DatasetError(f"report: expected an evaluation on one or several of {names}, received none.")

    @property
    def measurement(self) -> Measurement:
        """Name of the evaluation that the report shows in detail."""
        metrics: dict[str, dict[str, Any]] = {name: evaluation.metrics for name, evaluation in self.evaluations.items()}
        name = leading_measurement(metrics)
        if name is None:
            raise AssertionError("a report needs an evaluation")
        return name

    @property
    def evaluation(self) -> Evaluation:
        """The evaluation that the report shows in detail."""
        return self.evaluations[self.measurement]

    def photos_of(self, measurement: Measurement) -> str:
        """The photos of an evaluation in words, such as `test photos`."""
        return PHOTOS_OF[measurement] if self.evaluated is None else self.evaluated.described

    @property
    def learned_from_scratch(self) -> bool:
        """Whether the network began with random weights: it has no features that do not depend on training photos."""
        return self.manifest.train_config.get("weights") == "none"

    @property
    def label_issues(self) -> str:
        """Path of the file with all suspected label errors; empty without one."""
        return LABEL_ISSUES if self.evaluated is None else self.evaluated.label_issues

    @property
    def predictions_file(self) -> str:
        """Where a reader finds the predictions of all photos."""
        if self.evaluated is None:
            return f"{PREDICTIONS}/{self.measurement}.csv"
        return "the file that topgraft evaluate writes with --output"

    @functools.cached_property
    def thumbnail_ids(self) -> dict[str, str]:
        """Name of a photo that has a thumbnail -> id of the thumbnail on the page."""
        return {name: f"t{number}" for number, name in enumerate(self.thumbnails)}
