"""Calibration: whether confidence matches accuracy, and the photos that the marks unknown and uncertain take."""

from typing import Any

from model.evaluation import charts
from model.evaluation.metrics import expected_calibration_error, reliability
from model.evaluation.report.content import ReportContent
from model.marks import mark_sentences, marks_line

# Fewer bins than for the error: a diagram needs bins with enough photos in them.
_DIAGRAM_BINS = 10


def values(content: ReportContent) -> dict[str, Any]:
    """Values of calibration.html.jinja."""
    evaluation = content.evaluation
    probabilities, labels = evaluation.probabilities, evaluation.labels
    before = content.uncalibrated.get(content.measurement)
    thresholds = content.manifest.thresholds
    return {
        "temperature": content.manifest.temperature,
        "error_before": None if before is None else expected_calibration_error(before, labels),
        "error": evaluation.metrics["expected_calibration_error"],
        "diagram": charts.reliability_diagram(
            [] if before is None else reliability(before, labels, _DIAGRAM_BINS),
            reliability(probabilities, labels, _DIAGRAM_BINS),
        ),
        "images": len(labels),
        "marks": mark_sentences(thresholds),
        "counts": marks_line(evaluation.metrics, content.measurement),
        "coverage": charts.coverage_chart(probabilities, labels, thresholds.get("confidence")),
    }
