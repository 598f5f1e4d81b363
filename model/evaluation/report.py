"""The report of a training: one HTML file with all its pictures inside, to open anywhere and to print."""

import base64
import dataclasses
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from model import durable
from model.bundle import Manifest
from model.dataset.verdict import Leakage, Rejected
from model.errors import DatasetError
from model.evaluation import charts
from model.evaluation.evaluate import Evaluation
from model.evaluation.metrics import TOP, expected_calibration_error, reliability
from model.evaluation.wrong_answers import WrongAnswer
from model.results import MEASUREMENTS, SPLITS, Measurement, most_telling

_TEMPLATES = Path(__file__).with_name("templates")

# Whatever follows it, a browser runs no script and fetches nothing: a report may come with somebody else's model.
SAFE_BEGINNING = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
"""
_THUMBNAIL = (200, 200)
_MOST_LISTED = 8
_MOST_CONFUSIONS = 10
# Fewer bins than for the error: a picture needs bins with enough photos in them.
_DIAGRAM_BINS = 10
_MATRIX_BESIDE_TABLE = 12


@dataclasses.dataclass(frozen=True)
class ReportContent:
    """All that a report tells. Only `manifest` and one evaluation are needed; what is not given is left out.

    Attributes:
        manifest: of the model; its `files` may still be empty. Used are its name, classes, settings,
            versions, temperature, `thresholds["confidence"]` and `dataset["counts"]` (split -> class -> images).
        evaluations: of `test`, `cross_validation`, `val`, or several of these. The report judges the model by the
            first of them that there is, and by `val` with a warning.
        history: the rows of results.csv in order: phase, epoch, loss, accuracy, val_loss, val_accuracy,
            learning_rate, seconds, val_macro_f1. Numbers may be NaN.
        uncalibrated: as `evaluations` -> probabilities float (n, classes) of the same images in the same order, with
            temperature 1. They show what calibration did.
        rejected: images that were left out, as in rejected.csv.
        leakage: images that splits have in common.
        warnings: sentences about the dataset or the training.
        wrong_answers: from `model.evaluation.wrong_answers.find_wrong_answers`.
        tuning: the content of tuning.json, where the training was tuned.
    """

    manifest: Manifest
    evaluations: Mapping[Measurement, Evaluation]
    history: Sequence[Mapping[str, Any]] = ()
    uncalibrated: Mapping[Measurement, np.ndarray] = dataclasses.field(default_factory=dict)
    rejected: Sequence[Rejected] = ()
    leakage: Sequence[Leakage] = ()
    warnings: Sequence[str] = ()
    wrong_answers: Sequence[WrongAnswer] = ()
    tuning: Mapping[str, Any] | None = None


def write_report(path: Path, content: ReportContent) -> None:
    """Write the report as one HTML file of some hundred kilobytes that needs nothing else.

    Raises:
        DatasetError: there is no evaluation.
    """
    durable.write_text(path, render_report(content))


def render_report(content: ReportContent) -> str:
    """The report as HTML; see `write_report`."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["percent"] = lambda share, digits=1: f"{share:.{digits}%}"
    return SAFE_BEGINNING + environment.get_template("report.html.jinja").render(_values(content))


def _values(content: ReportContent) -> dict[str, Any]:
    """What the template needs, worked out; its keys are the names used there."""
    judged = most_telling(content.evaluations)
    if judged is None:
        raise DatasetError(f"report: expected an evaluation of {', '.join(MEASUREMENTS)} or several, received none.")
    manifest, evaluation = content.manifest, content.evaluations[judged]
    return {
        "manifest": manifest,
        "judged": judged,
        "measurements": _measurements(content.evaluations, manifest.dataset.get("folds", 0)),
        "metrics": evaluation.metrics,
        "scores": _scores(evaluation.metrics, len(manifest.classes)),
        "data": _data(manifest),
        "rejected": content.rejected[:_MOST_LISTED],
        "rejected_count": len(content.rejected),
        "unreadable": evaluation.errors[:_MOST_LISTED],
        "unreadable_count": len(evaluation.errors),
        "leakage": content.leakage[:_MOST_LISTED],
        "leakage_count": len(content.leakage),
        "warnings": content.warnings,
        "epochs": len(content.history),
        "curves": _curves(content.history),
        "classes": _classes(manifest, evaluation),
        "confusion": charts.confusion_chart(evaluation.metrics["confusion_matrix"], evaluation.classes),
        "confusions": _confusions(evaluation),
        "beside": len(manifest.classes) <= _MATRIX_BESIDE_TABLE,
        "calibration": _calibration(content, judged),
        "wrong_count": _wrong_count(evaluation),
        "wrong_answers": [_with_pictures(answer) for answer in content.wrong_answers],
        "tuning": content.tuning,
        "settings": _settings(manifest),
    }


def _measurements(evaluations: Mapping[Measurement, Evaluation], folds: int) -> list[dict[str, Any]]:
    """A row for each way in which the model was measured, with words that say what it is; the most telling first."""
    meanings: dict[Measurement, tuple[str, str]] = {
        "test": ("Test", "Photos that the training never saw."),
        "cross_validation": (
            f"{folds}-fold cross-validation" if folds else "Cross-validation",
            "Every photo was answered by a head that had learned without it and without its duplicates and its group. "
            "The model itself has learned from all of them, so it should do as well or slightly better.",
        ),
        "val": ("Validation", "Photos that chose the settings: new ones will do somewhat worse."),
    }
    return [
        {"name": meanings[name][0], "meaning": meanings[name][1], "metrics": evaluations[name].metrics}
        for name in MEASUREMENTS
        if name in evaluations
    ]


def _scores(metrics: Mapping[str, Any], classes: int) -> list[dict[str, Any]]:
    rows = [
        ("accuracy", "Accuracy", "Share of the photos that are answered right."),
        ("balanced_accuracy", "Balanced accuracy", "The same, but every class counts the same however rare it is."),
        ("macro_f1", "Macro F1", "Mean over the classes of finding their photos and not taking others for them."),
    ]
    if classes > TOP:
        rows.insert(1, ("top5_accuracy", "Top-5 accuracy", "The right class is among the five most probable."))
    return [
        {
            "name": name,
            "meaning": meaning,
            "value": metrics[key],
            "interval": metrics[f"{key}_interval"],
            "bar": charts.interval_bar(metrics[key], *metrics[f"{key}_interval"]),
        }
        for key, name, meaning in rows
    ]


def _data(manifest: Manifest) -> dict[str, Any]:
    counts: Mapping[str, Mapping[str, int]] = manifest.dataset.get("counts", {})
    splits = [{"name": split, "images": sum(counts.get(split, {}).values())} for split in SPLITS]
    of_class = {name: sum(counts.get(split, {}).get(name, 0) for split in SPLITS) for name in manifest.classes}
    smallest, largest = min(of_class, key=of_class.__getitem__), max(of_class, key=of_class.__getitem__)
    return {
        "splits": splits,
        "images": sum(of_class.values()),
        "smallest": (smallest, of_class[smallest]),
        "largest": (largest, of_class[largest]),
        "layout": manifest.dataset.get("layout", ""),
    }


def _curves(history: Sequence[Mapping[str, Any]]) -> list[charts.Svg]:
    if not history:
        return []
    marks = _phase_marks(history)
    return [
        charts.line_chart("Loss by epoch", _training_and_validation(history, "loss"), "epoch", marks),
        charts.line_chart(
            "Accuracy by epoch", _training_and_validation(history, "accuracy"), "epoch", marks, share=True
        ),
    ]


def _training_and_validation(history: Sequence[Mapping[str, Any]], quantity: str) -> list[charts.Series]:
    def points(column: str) -> list[tuple[float, float]]:
        return [(float(index), _number(row[column])) for index, row in enumerate(history, start=1)]

    return [
        charts.Series(f"{quantity}, training", points(quantity), charts.GRAY, dashed=True),
        charts.Series(f"{quantity}, validation", points(f"val_{quantity}"), charts.BLUE),
    ]


def _phase_marks(history: Sequence[Mapping[str, Any]]) -> list[charts.Mark]:
    """Where a phase begins, for all but the first."""
    phases = [str(row["phase"]).replace("_", "-") for row in history]
    changes = enumerate(itertools.pairwise(phases), start=1)
    return [charts.Mark(index + 0.5, after) for index, (before, after) in changes if before != after]


def _classes(manifest: Manifest, evaluation: Evaluation) -> list[dict[str, Any]]:
    """A row per class: those with the lowest F1 first, and those without test images last."""
    counts = manifest.dataset.get("counts", {})
    rows = [
        {**row, "name": row["class"], "counts": [counts.get(split, {}).get(row["class"], 0) for split in SPLITS]}
        for row in evaluation.metrics["per_class"]
    ]
    return sorted(rows, key=lambda row: (row["support"] == 0, row["f1"]))


def _confusions(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The most frequent errors, as pairs of classes."""
    matrix = np.array(evaluation.metrics["confusion_matrix"])
    errors = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-errors, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    pairs = [(int(true), int(answer)) for true, answer in zip(*np.unravel_index(order, errors.shape), strict=True)]
    return [
        {
            "true": evaluation.classes[true],
            "predicted": evaluation.classes[answer],
            "count": int(errors[true, answer]),
            "images": int(matrix[true].sum()),
        }
        for true, answer in pairs
        if errors[true, answer] > 0
    ]


def _calibration(content: ReportContent, judged: Measurement) -> dict[str, Any]:
    evaluation = content.evaluations[judged]
    probabilities, labels = evaluation.probabilities, evaluation.labels
    before = content.uncalibrated.get(judged)
    threshold = content.manifest.thresholds.get("confidence", 0.0)
    accepted = probabilities.max(axis=1) >= threshold
    right = probabilities.argmax(axis=1) == labels
    return {
        "before": None if before is None else expected_calibration_error(before, labels),
        "after": evaluation.metrics["expected_calibration_error"],
        "diagram": charts.reliability_diagram(
            [] if before is None else reliability(before, labels, _DIAGRAM_BINS),
            reliability(probabilities, labels, _DIAGRAM_BINS),
        ),
        "threshold": threshold,
        "accepted": float(accepted.mean()),
        "accepted_accuracy": float(right[accepted].mean()) if accepted.any() else None,
        "coverage": charts.coverage_chart(probabilities, labels, threshold),
    }


def _wrong_count(evaluation: Evaluation) -> int:
    return int((evaluation.probabilities.argmax(axis=1) != evaluation.labels).sum())


def _with_pictures(answer: WrongAnswer) -> dict[str, Any]:
    return {
        "name": answer.name,
        "true": answer.true,
        "predicted": answer.predicted,
        "true_probability": answer.true_probability,
        "predicted_probability": answer.predicted_probability,
        "picture": _data_uri(answer.picture),
        "heat": _data_uri(answer.heat),
    }


def _data_uri(picture: np.ndarray) -> str:
    thumbnail = Image.fromarray(picture)
    thumbnail.thumbnail(_THUMBNAIL)
    stream = io.BytesIO()
    thumbnail.save(stream, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _settings(manifest: Manifest) -> list[tuple[str, Iterable[tuple[str, Any]]]]:
    """Tables of names and values, each with a title."""
    return [
        ("Options of the training", manifest.train_config.items()),
        (
            "The model",
            [
                ("backbone", manifest.backbone),
                ("image size", f"{manifest.image_size} by {manifest.image_size} pixels, {manifest.resize}"),
                ("served by", f"ONNX Runtime in {manifest.precision}" if manifest.engine == "onnx" else "Keras"),
                ("temperature", f"{manifest.temperature:.3f}"),
                *((f"parity, {name.replace('_', ' ')}", f"{value:g}") for name, value in manifest.parity.items()),
            ],
        ),
        ("The dataset", [(name, manifest.dataset.get(name, "")) for name in ("path", "layout", "fingerprint")]),
        ("Versions", manifest.versions.items()),
    ]


def _number(value: Any) -> float:
    """A number of results.csv; an empty one is NaN."""
    return float("nan") if value is None or value == "" else float(value)
