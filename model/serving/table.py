"""Predictions as a table: a row per image, for spreadsheets."""

from collections.abc import Sequence
from typing import Any

from model.results import Prediction


def predictions_table(predictions: Sequence[Prediction]) -> tuple[list[str], list[list[Any]]]:
    """The header and the rows of a table of predictions.

    Columns: image, label, probability, unknown, error, then label_2, probability_2 and so on down to
    the longest answer. An image that could not be classified has an error and is empty elsewhere.
    """
    ranks = max((len(item.labels) for item in predictions), default=1)
    header = ["image", "label", "probability", "unknown", "error"]
    for rank in range(2, ranks + 1):
        header += [f"label_{rank}", f"probability_{rank}"]
    return header, [_row(item, ranks) for item in predictions]


def _row(prediction: Prediction, ranks: int) -> list[Any]:
    if prediction.error is not None:
        return [prediction.image, "", "", "", prediction.error] + [""] * 2 * (ranks - 1)
    pairs = [(label, f"{value:.6f}") for label, value in zip(prediction.labels, prediction.probabilities, strict=True)]
    pairs += [("", "")] * (ranks - len(pairs))
    first, others = pairs[0], pairs[1:]
    row = [prediction.image, *first, str(prediction.unknown).lower(), ""]
    return row + [cell for pair in others for cell in pair]
