"""Report of a trained model on another dataset: the page that a training writes, with the values of the evaluation."""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model import bundle_files
from model.bundle import Bundle
from model.dataset.rereading import PhotoReader
from model.dataset.verdict import Leakage, Rejected, Verdict
from model.errors import ConfigError, ModelDamagedError
from model.evaluation.confident_errors import find_confident_errors
from model.evaluation.evaluate import Evaluation
from model.evaluation.label_issues import label_issues_beside, write_label_issues
from model.evaluation.learned_photos import is_training_dataset
from model.evaluation.photo_features import PhotoFeatures
from model.evaluation.photo_study import study_photos
from model.evaluation.predicting import PredictedSamples
from model.evaluation.report.content import EvaluatedDataset, ReportContent
from model.evaluation.report.render import with_thumbnails, write_report
from model.measurements import Measurement
from model.reading import UnreadableError, parse_json, unreadable
from model.results import Sample, Split
from model.serving.predictor import Predictor
from model.tables import read_rows
from model.training_result import Tuning

_LEARNED = "the model learned from these photos, and only other photos show errors"


def write_dataset_report(
    path: Path,
    predictor: Predictor,
    evaluation: Evaluation,
    dataset: EvaluatedDataset,
    rejected: Sequence[Rejected],
    leakage: Sequence[Leakage],
    warnings: Sequence[str],
    features: PhotoFeatures | None = None,
    label_issues: Path | None = None,
) -> None:
    """Write the report of a model that was evaluated on a dataset; the images must still be readable.

    The sections that need features of the images are those of the evaluated images. How accuracy depends on the number
    of training photos is left to the report of the training.

    Args:
        dataset: the dataset, and which of its images were evaluated. Labels are checked only if the model did not learn
            from these.
        rejected: images that cannot be used, and why.
        leakage: images that splits have in common.
        warnings: sentences about the dataset and the selection of images.
        features: from `photos_with_features`.
        label_issues: file to write all suspected label errors to, if labels are checked; by default beside the report.
    """
    measurement: Measurement = "val" if dataset.split == "val" else "test"
    evaluations = {measurement: evaluation}
    bundle, photos = predictor.bundle, PhotoReader()
    errors = find_confident_errors(evaluations, predictor, photos=photos)
    study = None
    file = label_issues or label_issues_beside(path)
    # Of a former report: it would be taken for that of the new one.
    file.unlink(missing_ok=True)
    if features is not None:
        names = [error.name for error in errors]
        labels_off = "" if dataset.out_of_sample else _LEARNED
        study = study_photos(features, evaluation, errors=names, of_training=False, labels_off=labels_off)
        if not study.label_check.off:
            write_label_issues(file, study.label_check, dataset.split)
            dataset = dataclasses.replace(dataset, label_issues=file.name)
    content = ReportContent(
        bundle.manifest,
        evaluations,
        read_history(bundle),
        rejected=rejected,
        leakage=leakage,
        warnings=warnings,
        confident_errors=errors,
        tuning=_tuning(bundle),
        study=study,
        evaluated=dataset,
    )
    write_report(path, with_thumbnails(content, photos))


def photos_with_features(
    predictor: Predictor, predicted: PredictedSamples, evaluation: Evaluation, verdict: Verdict
) -> PhotoFeatures:
    """The evaluated images, with their features if the model has reference features.

    Args:
        predicted: the images, and others, with their features.
        verdict: the checked dataset, whose training photos are shown if it is that of the training.
    """
    [predictions], reference, manifest = predicted.by_model, predictor.reference, predictor.bundle.manifest
    names = {sample.name for sample in evaluation.samples}
    rows = np.array([sample.name in names for sample in predicted.samples], bool)
    splits: list[Split] = ["test"] * len(evaluation.samples)
    if reference is None or predictions.features is None:
        no_features = np.empty((len(evaluation.samples), 0), np.float32)
        return PhotoFeatures(
            manifest.classes, evaluation.samples, tuple(splits), no_features, evaluation.probabilities, reference=None
        )
    training = {
        name: Sample(Path(), name, int(label)) for name, label in zip(reference.names, reference.labels, strict=True)
    }
    if is_training_dataset(predictor.bundle, verdict):
        training |= {
            sample.name: dataclasses.replace(training[sample.name], path=sample.path)
            for sample in verdict.dataset.samples
            if sample.name in training
        }
    return PhotoFeatures(
        manifest.classes,
        evaluation.samples,
        tuple(splits),
        predictions.features[rows],
        evaluation.probabilities,
        reference,
        training,
    )


def read_history(bundle: Bundle) -> list[dict[str, Any]]:
    """Rows of results.csv; none for a model without this file, such as an imported one."""
    if bundle_files.RESULTS not in bundle.manifest.files:
        return []
    content = bundle.read_file(bundle_files.RESULTS)
    try:
        with unreadable():
            return list(read_rows(io.StringIO(content.decode(), newline="")))
    except UnreadableError as error:
        raise ModelDamagedError(f"{bundle.directory / bundle_files.RESULTS}: expected a table, {error}") from error


def _tuning(bundle: Bundle) -> dict[str, Any] | None:
    """Content of tuning.json; None without a search."""
    if bundle_files.TUNING not in bundle.manifest.files:
        return None
    content = bundle.read_file(bundle_files.TUNING)
    try:
        with unreadable():
            return Tuning.from_json(parse_json(content)).to_json()
    except (ConfigError, UnreadableError) as error:
        raise ModelDamagedError(f"{bundle.directory / bundle_files.TUNING}: expected a search, {error}") from error
