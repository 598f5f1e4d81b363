"""What a training writes about its epochs and predictions: tables, suspected label errors, the report and figures."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from model import bundle_files, durable
from model.bundle import Bundle
from model.dataset.rereading import PhotoReader
from model.dataset.verdict import Verdict
from model.evaluation.confident_errors import find_confident_errors
from model.evaluation.evaluate import write_predictions
from model.evaluation.label_issues import write_label_issues
from model.evaluation.photo_study import study_photos
from model.evaluation.predicting import milliseconds_of
from model.evaluation.report.content import ReportContent
from model.evaluation.report.render import with_thumbnails, write_report
from model.runs.cost_meter import CostMeter
from model.serving.predictor import load_predictor
from model.training.classifier import Classifier
from model.training.epochs import COLUMNS, Epoch


def write_history(bundle: Path, history: Sequence[Epoch]) -> None:
    """Write results.csv."""
    rows = [[getattr(row, column) for column in COLUMNS] for row in history]
    durable.write_csv(bundle / bundle_files.RESULTS, COLUMNS, rows)


def write_training_report(
    bundle: Path,
    content: ReportContent,
    verdict: Verdict,
    classifier: Classifier,
    meter: CostMeter,
) -> float:
    """Write predictions/, label_issues.csv, report.html, and figures for TensorBoard.

    Args:
        bundle: folder of the model, with its network.
        content: the report without what is found here: errors, the study of the photos, what the training took.
        meter: measures the training.

    Returns:
        Median time of the served network for one decoded photo, in milliseconds.
    """
    from model.tracking.report_figures import write_report_figures

    predictions = bundle / bundle_files.PREDICTIONS
    predictions.mkdir()
    for name, evaluation in content.evaluations.items():
        write_predictions(predictions / f"{name}.csv", evaluation)
    photos = PhotoReader(verdict.content_hashes, verdict.has_files)
    predictor = load_predictor(Bundle(bundle, content.manifest))
    errors = find_confident_errors(content.evaluations, predictor, photos=photos)
    content = dataclasses.replace(content, confident_errors=errors)
    names, seed = [error.name for error in errors], content.manifest.train_config["seed"]
    study = study_photos(classifier.photos, content.evaluation, classifier.curve, names, seed)
    write_label_issues(bundle / bundle_files.LABEL_ISSUES, study.label_check)
    content = dataclasses.replace(content, study=study, cost=meter.cost(), energy_off=meter.energy_off)
    content = with_thumbnails(content, photos)
    write_report(bundle / bundle_files.REPORT, content)
    write_report_figures(bundle / bundle_files.LOGS, content)
    [milliseconds] = milliseconds_of([predictor])
    return milliseconds
