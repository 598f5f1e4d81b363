"""Confusion matrix and the most frequent confusions."""

from typing import Any

import numpy as np

from model.evaluation import charts
from model.evaluation.evaluate import Evaluation
from model.evaluation.report.content import ReportContent
from model.measurements import fraction_interval

_MAX_CONFUSIONS = 10
# With more classes, the matrix takes the whole width.
_MAX_CLASSES_SIDE_BY_SIDE = 12
# A matrix of more classes is not readable: it shows those with the most errors.
_MAX_CLASSES = 200


def values(content: ReportContent) -> dict[str, Any]:
    """Values of confusion.html.jinja."""
    evaluation = content.evaluation
    folds = content.manifest.dataset.get("folds", 0) if content.measurement == "cross_validation" else 0
    matrix = np.array(evaluation.metrics["confusion_matrix"])
    shown = _shown_classes(matrix)
    names = [evaluation.classes[label] for label in shown]
    return {
        "matrix": charts.confusion_chart(matrix[np.ix_(shown, shown)].tolist(), names, shown),
        "confusions": _confusions(evaluation, folds),
        "side_by_side": len(shown) <= _MAX_CLASSES_SIDE_BY_SIDE,
        "classes": len(evaluation.classes),
        "shown_classes": len(shown),
    }


def _shown_classes(matrix: np.ndarray) -> list[int]:
    """All classes, or those with the most errors, in their order."""
    errors = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    return sorted(np.argsort(-errors, kind="stable")[:_MAX_CLASSES].tolist())


def _confusions(evaluation: Evaluation, folds: int) -> list[dict[str, Any]]:
    """Pairs of true and predicted class with the most errors."""
    matrix = np.array(evaluation.metrics["confusion_matrix"])
    errors = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-errors, axis=None, kind="stable")[:_MAX_CONFUSIONS]
    pairs = np.transpose(np.unravel_index(order, errors.shape)).tolist()
    return [
        {
            "cell": f"cell-{true}-{predicted}",
            "true": evaluation.classes[true],
            "predicted": evaluation.classes[predicted],
            "count": int(errors[true, predicted]),
            "images": int(matrix[true].sum()),
            "interval": fraction_interval(int(errors[true, predicted]), int(matrix[true].sum()), folds),
        }
        for true, predicted in pairs
        if errors[true, predicted] > 0
    ]
