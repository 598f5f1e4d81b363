"""Model card: classes, metrics, training data, usage and limitations of a model.

The sections follow Mitchell et al., "Model Cards for Model Reporting" (2019), as far as a manifest has the data.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from model.bundle import Manifest
from model.files.rendering import render
from model.intensity import describe_intensity
from model.marks import mark_sentences, marks_line
from model.measurements import with_interval
from model.results import SPLITS
from model.shown import counted

_ROWS = (("accuracy", "accuracy"), ("macro_f1", "macro-F1"), ("balanced_accuracy", "balanced accuracy"))
_TOP5 = ("top5_accuracy", "top-5 accuracy")
_TOP = 5
_MEASURED_ON = {
    "test": "test photos that were not used in training",
    "cross_validation": "training photos, each predicted by a head trained without it (cross-validation)",
    "val": "validation photos, which also selected the hyperparameters: expect a lower accuracy on new photos",
}
FEW_PHOTOS = 20


@dataclasses.dataclass(frozen=True)
class About:
    """Description of a model by its author.

    Attributes:
        title: title for readers; empty: the name of the model.
        author: authors of the model; empty if unknown.
        license: license of the weights, as an SPDX identifier.
        summary: one sentence.
    """

    title: str = ""
    author: str = ""
    license: str = ""
    summary: str = ""


NO_DESCRIPTION = About()


def model_card(manifest: Manifest, about: About = NO_DESCRIPTION) -> str:
    """Model card as Markdown; the same manifest gives the same text."""
    return render("model_card.md.jinja", card_values(manifest, about), Path(__file__).with_name("templates"))


def card_values(manifest: Manifest, about: About = NO_DESCRIPTION) -> dict[str, Any]:
    """Values of the templates of the card and of the child module."""
    measured, metrics = manifest.leading_measurement, manifest.leading_metrics
    others = {name: accuracy for name, accuracy in manifest.accuracies.items() if name != measured}
    counts = manifest.dataset.get("counts") or {}
    return {
        "manifest": manifest,
        "title": about.title or manifest.name,
        "author": about.author,
        "license": about.license,
        "summary": about.summary or summary_of(manifest),
        "measured_on": _MEASURED_ON[measured] if measured else "",
        "accuracy": accuracy_sentence(manifest),
        "other_accuracies": list(others.values()),
        "images": metrics.get("images"),
        "marks": mark_sentences(manifest.thresholds),
        "marks_line": marks_line(metrics, measured) if measured else "",
        "metrics": _metrics(metrics, len(manifest.classes)),
        "per_class": metrics.get("per_class", []),
        "few": [row["class"] for row in metrics.get("per_class", []) if row["support"] < FEW_PHOTOS],
        "few_photos": FEW_PHOTOS,
        "calibration_error": _calibration_error(metrics),
        "splits": [split for split in SPLITS if split in counts],
        "counts": counts,
        "totals": {split: sum(of_class.values()) for split, of_class in counts.items()},
        "dataset": PurePath(str(manifest.dataset.get("path", ""))).name,
        "added": manifest.train_config.get("added_backbone"),
        "imported": manifest.train_config.get("imported"),
        "intensity": describe_intensity(manifest.intensity),
    }


def _calibration_error(metrics: Mapping[str, Any]) -> str:
    """The calibration error with its interval; empty if it was not measured."""
    # Older models have the uncorrected error only.
    error = metrics.get("calibration_error", metrics.get("expected_calibration_error"))
    return "" if error is None else with_interval(error, metrics.get("expected_calibration_error_interval"))


def summary_of(manifest: Manifest) -> str:
    """Default summary: one sentence that names the classes."""
    classes = manifest.classes
    named = ", ".join(classes) if len(classes) <= 6 else f"{', '.join(classes[:5])} and {len(classes) - 5} more"
    return f"Classifies photos into {counted(len(classes), 'class')}: {named}."


def accuracy_sentence(manifest: Manifest) -> str:
    """The accuracy with the number of photos and its 95 % interval: a sentence."""
    if manifest.accuracy is None:
        return "The accuracy of the model was not measured."
    return f"Accuracy: {manifest.accuracy}."


def _metrics(metrics: Mapping[str, Any], classes: int) -> list[dict[str, Any]]:
    """A row for each measured metric: name, value and 95 % interval, None if unknown."""
    rows = (*_ROWS, _TOP5) if classes > _TOP else _ROWS
    return [
        {"name": name, "value": metrics[key], "interval": metrics.get(f"{key}_interval")}
        for key, name in rows
        if metrics.get(key) is not None
    ]
