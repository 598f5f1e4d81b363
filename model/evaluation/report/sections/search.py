"""Hyperparameter search: the candidates that were evaluated before the training."""

from typing import Any

from model.evaluation.report.content import ReportContent


def values(content: ReportContent) -> dict[str, Any] | None:
    """Values of search.html.jinja; None without a search."""
    return None if content.tuning is None else {"tuning": content.tuning}
