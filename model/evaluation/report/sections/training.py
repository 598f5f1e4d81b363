"""Training: loss and accuracy by epoch."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from model.evaluation import charts
from model.evaluation.report.content import ReportContent

_CRITERIA = {
    "val_loss": "lowest validation loss",
    "val_accuracy": "highest validation accuracy",
    "val_macro_f1": "highest validation macro F1",
}

_History = Sequence[Mapping[str, Any]]


def values(content: ReportContent) -> dict[str, Any] | None:
    """Values of training.html.jinja; None without a history."""
    if not content.history:
        return None
    return {
        "epochs": len(content.history),
        "criterion": _CRITERIA[content.manifest.train_config.get("stop_on", "val_loss")],
        "curves": _curves(content.history),
    }


def _curves(history: _History) -> list[charts.Svg]:
    marks = _phase_marks(history)
    loss, accuracy = (_training_and_validation(history, quantity) for quantity in ("loss", "accuracy"))
    return [
        charts.line_chart("Loss by epoch", loss, "epoch", marks),
        charts.line_chart("Accuracy by epoch", accuracy, "epoch", marks, percent=True),
    ]


def _training_and_validation(history: _History, quantity: str) -> list[charts.Series]:
    def points(column: str) -> list[tuple[float, float]]:
        return [(float(index), _number(row[column])) for index, row in enumerate(history, start=1)]

    return [
        charts.Series(f"{quantity}, training", points(quantity), charts.GRAY, dashed=True),
        charts.Series(f"{quantity}, validation", points(f"val_{quantity}"), charts.BLUE),
    ]


def _phase_marks(history: _History) -> list[charts.Mark]:
    """Start of each phase but the first."""
    phases = [str(row["phase"]).replace("_", "-") for row in history]
    changes = enumerate(itertools.pairwise(phases), start=1)
    return [charts.Mark(index + 0.5, after) for index, (before, after) in changes if before != after]


def _number(value: Any) -> float:
    """A number of results.csv; an empty one is NaN."""
    return float("nan") if value is None or value == "" else float(value)
