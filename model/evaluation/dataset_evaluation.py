"""Evaluating a trained model on a labelled dataset."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from model import durable, schema
from model.bundle import Bundle
from model.config import TrainConfig
from model.dataset import SPLIT_OPTIONS
from model.dataset.checked import checked_dataset
from model.dataset.verdict import Rejected
from model.evaluation.evaluate import Evaluation, evaluate_bundle
from model.evaluation.selection import select_samples
from model.results import Progress, no_progress
from model.storage import is_remote
from model.workspace import Workspace


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
    """

    model: str
    dataset: str
    split: str
    evaluation: Evaluation
    unreadable: tuple[Rejected, ...]
    warnings: tuple[str, ...]

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
        }
        plain: dict[str, Any] = durable.to_json(content)
        return plain


def evaluate_on_dataset(
    bundle: Bundle,
    dataset: str,
    workspace: Workspace,
    options: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
) -> EvaluationResult:
    """Measure a trained model on the test split of a dataset, or on all its images if it has no splits.

    Of the dataset that the model was trained on, only images that the model did not learn from are measured.

    Args:
        dataset: a path, a name inside data/, or `remote:path`.
        options: `model.dataset.DATASET_OPTIONS` of `TrainConfig`; the others are those of the training, so that the
            same dataset has the same splits.
        progress: called with the phases `check` and `evaluate`, in images.

    Raises:
        ConfigError: an option has a value that cannot be used.
        DatasetError, ArchiveError, StorageError: the dataset cannot be read, or has classes unknown to the model.
        ModelDamagedError: the model cannot be loaded.
    """
    of_training = {name: bundle.manifest.train_config.get(name) for name in SPLIT_OPTIONS}
    # Photos outside the range of the model are then reported, whatever range the dataset itself has.
    of_training["intensity"] = str(bundle.manifest.intensity)
    of_training["folds"] = bundle.manifest.dataset.get("folds", 0)
    config = schema.load(TrainConfig, of_training, options or {}, {"dataset": dataset})
    with checked_dataset(config, workspace, f"topgraft evaluate {bundle.name}", progress) as verdict:
        selection = select_samples(bundle, verdict)
        evaluation = evaluate_bundle(bundle, selection.samples, progress)
    return EvaluationResult(
        bundle.name,
        dataset if is_remote(dataset) else str(workspace.find_dataset(dataset)),
        selection.split,
        evaluation,
        (*verdict.rejected, *evaluation.errors),
        (*verdict.warnings, *selection.warnings),
    )
