"""Calibration: whether confidence matches accuracy, and the effect of the confidence threshold."""

from typing import Any

from model.evaluation import charts
from model.evaluation.metrics import expected_calibration_error, reliability
from model.evaluation.report.content import ReportContent

# Fewer bins than for the error: a diagram needs bins with enough photos in them.
_DIAGRAM_BINS = 10


def values(content: ReportContent) -> dict[str, Any]:
    """Values of calibration.html.jinja."""
    evaluation = content.evaluation
    probabilities, labels = evaluation.probabilities, evaluation.labels
    before = content.uncalibrated.get(content.measurement)
    threshold = content.manifest.thresholds.get("confidence", 0.0)
    accepted = probabilities.max(axis=1) >= threshold
    correct = probabilities.argmax(axis=1) == labels
    return {
        "temperature": content.manifest.temperature,
        "error_before": None if before is None else expected_calibration_error(before, labels),
        "error": evaluation.metrics["expected_calibration_error"],
        "diagram": charts.reliability_diagram(
            [] if before is None else reliability(before, labels, _DIAGRAM_BINS),
            reliability(probabilities, labels, _DIAGRAM_BINS),
        ),
        "threshold": threshold,
        "accepted": float(accepted.mean()),
        "accepted_accuracy": float(correct[accepted].mean()) if accepted.any() else None,
        "coverage": charts.coverage_chart(probabilities, labels, threshold),
    }
