"""Evaluating a trained model on a labelled dataset."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from model import durable, schema
from model.bundle import Bundle
from model.config import TrainConfig
from model.dataset import SPLIT_OPTIONS
from model.dataset.checked import checked_dataset
from model.dataset.verdict import Rejected
from model.evaluation.dataset_report import photos_with_features, write_dataset_report
from model.evaluation.evaluate import Evaluation, evaluate_predicted, prediction_rows, write_predictions
from model.evaluation.label_issues import label_issues_beside
from model.evaluation.learned_photos import LearnedFrom, is_training_dataset
from model.evaluation.marks import marked_unknown
from model.evaluation.predicting import ImagePredictions, PredictedSamples, predict_samples
from model.evaluation.report.content import EvaluatedDataset
from model.evaluation.selection import select_samples
from model.files.browsing import name_some
from model.measurements import fraction_interval, with_interval
from model.results import Progress, Sample, no_progress
from model.serving.predictor import load_predictor
from model.shown import counted
from model.storage import is_remote
from model.storage.copies import output_file
from model.workspace import Workspace


@dataclasses.dataclass(frozen=True, eq=False)
class OtherPhotos:
    """Photos of classes that the model does not know, which are in none of the metrics.

    Attributes:
        samples: the photos that could be read.
        true_of: the class of each.
        predictions: the predictions of the model, all of which are incorrect.
        unknown: bool (n,), whether each is marked unknown; None for a model without a threshold for that.
    """

    samples: tuple[Sample, ...] = ()
    true_of: tuple[str, ...] = ()
    predictions: ImagePredictions = dataclasses.field(
        default_factory=lambda: ImagePredictions(np.empty((0, 0), np.float32), None)
    )
    unknown: np.ndarray | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Number of photos of each class, by name."""
        return dict(sorted(Counter(self.true_of).items()))

    @property
    def marked(self) -> int | None:
        """Number of photos that are marked unknown; None for a model without a threshold for that."""
        return None if self.unknown is None else int(self.unknown.sum())

    def to_json(self) -> dict[str, Any]:
        """Number of photos by class, the number marked unknown, its fraction and 95 % interval, as plain JSON types."""
        marked, images = self.marked, len(self.samples)
        measured = marked is not None and images > 0
        return {
            "counts": self.counts,
            "images": images,
            "marked_unknown": marked,
            "marked_unknown_fraction": marked / images if marked is not None and images else None,
            "marked_unknown_interval": list(fraction_interval(marked or 0, images)) if measured else None,
        }

    def __str__(self) -> str:
        """A sentence with the classes and the fraction marked unknown; empty without such photos."""
        images, marked = len(self.samples), self.marked
        if not images:
            return ""
        classes = name_some([f"{name} ({count})" for name, count in self.counts.items()], 20)
        which = f"{counted(images, 'photo')} of classes that the model does not know"
        text = f"{which} {'is' if images == 1 else 'are'} in none of the metrics: {classes}"
        if marked is None:
            return f"{text}; the model marks no photo unknown"
        share = with_interval(marked / images, fraction_interval(marked, images))
        return f"{text}; marked unknown: {marked}, {share}"


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """A trained model measured on a dataset.

    Attributes:
        model: the name of the model.
        dataset: the folder or archive of the dataset, or its `remote:path`.
        split: the images measured: `test`, `val`, or `all`.
        evaluation: the predictions and metrics.
        unreadable: images that could not be read, and why; they are in none of the metrics.
        warnings: problems of the dataset and of the selection of images, a sentence each.
        others: the photos of classes that the model does not know.
        learned: number of photos of the split whose content the model learned from; they are left out, unless
            `learned_from` is "all".
        learned_from: which of the measured photos the model learned from.
    """

    model: str
    dataset: str
    split: str
    evaluation: Evaluation
    unreadable: tuple[Rejected, ...]
    warnings: tuple[str, ...]
    others: OtherPhotos = dataclasses.field(default_factory=OtherPhotos)
    learned: int = 0
    learned_from: LearnedFrom = "none"

    @property
    def is_decidable(self) -> bool:
        """Whether the photos can show how accurate the model is on others: it was not trained or tuned on them."""
        return self.learned_from in ("none", "unknown")

    @property
    def metrics(self) -> dict[str, Any]:
        """Metrics of the split: accuracy, macro_f1 and others; see `model.evaluation.metrics.evaluate_predictions`."""
        return self.evaluation.metrics

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON types, without the predictions: what `topgraft evaluate --json` answers."""
        content = {
            "status": "done",
            "model": self.model,
            "dataset": self.dataset,
            "split": self.split,
            "metrics": self.metrics,
            "unreadable": [dataclasses.asdict(item) for item in self.unreadable],
            "warnings": self.warnings,
            "unknown_classes": self.others.to_json(),
            "learned": self.learned,
            "learned_from": self.learned_from,
        }
        plain: dict[str, Any] = durable.to_json(content)
        return plain

    def write_predictions(self, path: Path) -> None:
        """Write a row per photo, see `model.evaluation.evaluate.write_predictions`; `correct` is empty for the others.

        Raises:
            OSError: the file cannot be written.
        """
        others = self.others
        classes = self.evaluation.classes
        rows = prediction_rows(classes, others.samples, others.true_of, others.predictions, others.unknown)
        write_predictions(path, self.evaluation, rows)


def evaluate_on_dataset(
    bundle: Bundle,
    dataset: str,
    workspace: Workspace,
    options: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
    report: Path | None = None,
    label_issues: Path | None = None,
) -> EvaluationResult:
    """Measure a trained model on the test split of a dataset, or on all its images if it has no splits.

    Only images that the model did not learn from are measured, as far as there are some. Classes
    are matched by name; images of classes that the model does not know are in none of the metrics.

    Args:
        dataset: a path, a name inside data/, or `remote:path`.
        options: `model.dataset.DATASET_OPTIONS` of `TrainConfig`; the others are those of the training, so that the
            same dataset has the same splits.
        progress: called with the phases `check` and `evaluate`, in images.
        report: file to write the report to, as one HTML page; None for none.
        label_issues: file to write all suspected label errors of the report to; by default beside it.

    Raises:
        ConfigError: an option has a value that cannot be used.
        DatasetError, ArchiveError, StorageError: the dataset cannot be read, or the model knows none of its classes.
        ModelDamagedError: the model cannot be loaded.
    """
    config = evaluation_config(bundle, dataset, options or {})
    predictor = load_predictor(bundle)
    user = f"topgraft evaluate {bundle.name}"
    with checked_dataset(config, workspace, user, progress, for_training=False) as verdict:
        selection = select_samples(bundle, verdict)
        chosen = [*selection.samples, *selection.others]
        predicted = predict_samples([predictor], chosen, progress, keep_features=report is not None)
        evaluation, others = _divided(bundle, predicted, selection.others, verdict.dataset.classes)
        result = EvaluationResult(
            bundle.name,
            dataset if is_remote(dataset) else str(workspace.find_dataset(dataset)),
            selection.split,
            evaluation,
            (*verdict.rejected, *evaluation.errors),
            (*verdict.warnings, *selection.warnings),
            others,
            selection.learned,
            selection.learned_from,
        )
        if report is not None:
            remarks = [*result.warnings, *([str(others)] if others.samples else [])]
            features = photos_with_features(predictor, predicted, evaluation, verdict)
            evaluated = EvaluatedDataset(
                result.dataset,
                # A dataset without splits was divided by the checks, which all photos do not depend on.
                "" if selection.split == "all" else verdict.layout,
                selection.split,
                selection.learned_from,
                selection.learned,
                len(others.samples),
            )
            # Of another dataset, the model learned from none of the splits.
            leakage = verdict.leakage if is_training_dataset(bundle, verdict) else ()
            write_dataset_report(
                report, predictor, evaluation, evaluated, verdict.rejected, leakage, remarks, features, label_issues
            )
    return result


@contextmanager
def report_files(report: Path | None) -> Iterator[tuple[Path, ...]]:
    """Local paths of a report and of the file beside it, as the last arguments of `evaluate_on_dataset`.

    Args:
        report: HTML file, or `remote:path`, to which both are uploaded when the block ends; None: there are no paths.
    """
    if report is None:
        yield ()
        return
    issues_file = label_issues_beside(report)
    with output_file(report) as page, output_file(issues_file, may_be_missing=True) as label_issues:
        yield page, label_issues


def evaluation_config(bundle: Bundle, dataset: str, options: Mapping[str, Any]) -> TrainConfig:
    """Options to check a dataset with, for a model: those given, else those of its training, for the same splits.

    Raises:
        ConfigError: an option has a value that cannot be used.
    """
    of_training = {name: bundle.manifest.train_config.get(name) for name in SPLIT_OPTIONS}
    # Photos outside the range of the model are then reported, whatever range the dataset itself has.
    of_training["intensity"] = str(bundle.manifest.intensity)
    of_training["folds"] = bundle.manifest.dataset.get("folds", 0)
    return schema.load(TrainConfig, of_training, options, {"dataset": dataset})


def _divided(
    bundle: Bundle, predicted: PredictedSamples, unread: Sequence[Sample], classes: Sequence[str]
) -> tuple[Evaluation, OtherPhotos]:
    """The evaluation of the images of known classes, and the predictions for the others.

    Args:
        unread: the images of other classes, whether they could be read or not.
        classes: class names of the dataset, in the order of their labels.
    """
    names = {sample.name for sample in unread}
    is_other = np.array([sample.name in names for sample in predicted.samples], bool)
    [predictions] = predicted.by_model
    known = tuple(sample for sample in predicted.samples if sample.name not in names)
    others = tuple(sample for sample in predicted.samples if sample.name in names)
    evaluation = evaluate_predicted(bundle, known, predictions.rows(~is_other), predicted.errors)
    answered = predictions.rows(is_other)
    unknown = marked_unknown(answered.distances, bundle.manifest.thresholds)
    return evaluation, OtherPhotos(others, tuple(classes[sample.label] for sample in others), answered, unknown)
