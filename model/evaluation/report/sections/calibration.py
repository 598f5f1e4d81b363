"""Calibration: whether confidence matches accuracy, and the photos that the marks unknown and uncertain take."""

from typing import Any

import numpy as np

from model.evaluation import charts
from model.evaluation.metrics import calibration_error, reliability
from model.evaluation.report.content import ReportContent
from model.marks import mark_sentences, marks_line
from model.measurements import with_interval

# Fewer bins than for the error: a diagram needs bins with enough photos in them.
DIAGRAM_BINS = 10
_THRESHOLDS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def values(content: ReportContent) -> dict[str, Any]:
    """Values of calibration.html.jinja."""
    evaluation = content.evaluation
    probabilities, labels = evaluation.probabilities, evaluation.labels
    before = content.uncalibrated.get(content.measurement)
    thresholds = content.manifest.thresholds
    return {
        "temperature": content.manifest.temperature,
        "error_before": None if before is None else calibration_error(before, labels),
        "error": with_interval(
            evaluation.metrics["calibration_error"],
            evaluation.metrics.get("expected_calibration_error_interval"),
        ),
        "uncorrected": evaluation.metrics["expected_calibration_error"],
        "diagram": charts.reliability_diagram(
            [] if before is None else reliability(before, labels, DIAGRAM_BINS),
            reliability(probabilities, labels, DIAGRAM_BINS),
        ),
        "images": len(labels),
        "marks": mark_sentences(thresholds),
        "counts": marks_line(evaluation.metrics, content.evaluated.split if content.evaluated else content.measurement),
        "coverage": charts.coverage_chart(probabilities, labels, thresholds.get("confidence")),
        "thresholds": _thresholds(probabilities, labels),
        "threshold": round(thresholds.get("confidence", 0.5), 3),
    }


def _thresholds(probabilities: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
    """For each confidence threshold, the predictions that it accepts."""
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    rows = []
    for threshold in _THRESHOLDS:
        accepted = confidence >= threshold
        count = int(accepted.sum())
        accuracy = float(correct[accepted].mean()) if count else None
        rows.append({"threshold": threshold, "accepted": count, "accuracy": accuracy})
    return rows
