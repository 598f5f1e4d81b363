"""Summary: the expected accuracy on new photos, the main metrics, and how they were measured."""

from collections.abc import Mapping
from typing import Any

from model.evaluation import charts
from model.evaluation.learning_curve import collect_advice
from model.evaluation.metrics import TOP
from model.evaluation.report.content import ReportContent
from model.measurements import MEASUREMENTS, Measurement
from model.results import SPLITS

_LABELS_TO_CHECK = 3


def values(content: ReportContent) -> dict[str, Any]:
    """Values of summary.html.jinja."""
    manifest, metrics = content.manifest, content.evaluation.metrics
    test = content.evaluations.get("test")
    counts = manifest.dataset.get("counts", {})
    return {
        "manifest": manifest,
        "images": sum(sum(counts.get(split, {}).values()) for split in SPLITS),
        "evaluated": content.evaluated,
        "measurement": content.measurement,
        "test": None if test is None else test.metrics,
        "metrics": metrics,
        "scores": _scores(metrics, len(manifest.classes)),
        "measurements": _measurements(content),
        "collect": _collect(content),
        "labels": [] if content.study is None else content.study.label_check.issues[:_LABELS_TO_CHECK],
    }


def _collect(content: ReportContent) -> str:
    """Which classes to collect more photos of, or that none can be named; empty if it was not measured."""
    curve = None if content.study is None else content.study.curve
    return "" if curve is None else collect_advice(curve)


def _scores(metrics: Mapping[str, Any], classes: int) -> list[dict[str, Any]]:
    rows = [
        ("accuracy", "Accuracy", "Fraction of photos predicted correctly."),
        ("balanced_accuracy", "Balanced accuracy", "Mean recall: each class counts the same, however rare."),
        ("macro_f1", "Macro F1", "Mean over the classes of F1, which combines recall and precision."),
    ]
    if classes > TOP:
        rows.insert(1, ("top5_accuracy", "Top-5 accuracy", "The true class is among the five most probable."))
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


def _measurements(content: ReportContent) -> list[dict[str, Any]]:
    """A row for each evaluation, with an explanation; the most informative first."""
    folds = content.manifest.dataset.get("folds", 0)
    explained: dict[Measurement, tuple[str, str]] = {
        "test": ("Test set", "Photos not used in training."),
        "cross_validation": (
            f"{folds}-fold cross-validation" if folds else "Cross-validation",
            "Each photo was predicted by a head trained without it, its duplicates and its group. The final model is "
            "trained on all of these photos and should be as accurate or slightly more.",
        ),
        "val": ("Validation set", "Photos used to choose settings: an accuracy on them tends to be too high."),
    }
    return [
        {"name": explained[name][0], "meaning": explained[name][1], "metrics": content.evaluations[name].metrics}
        for name in sorted(MEASUREMENTS, key=lambda name: name != content.measurement)
        if name in content.evaluations
    ]
