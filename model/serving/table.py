"""Predictions as a table with a row per image: CSV for spreadsheets, and Parquet."""

import importlib.util
import itertools
from collections.abc import Iterable, Sequence
from typing import IO, Any

from model.errors import ConfigError
from model.results import Prediction
from model.tables import PREDICTION_COLUMNS

_ROWS_AT_A_TIME = 1000


def predictions_table(predictions: Sequence[Prediction]) -> tuple[list[str], list[list[Any]]]:
    """The header and the rows of a table of predictions.

    Columns: image, label, probability, unknown, error, unknown_reason, uncertain, second (the second most probable
    class of an uncertain prediction), then label_2, probability_2 and so on up to the longest prediction, then
    neighbour_1, neighbour_label_1, neighbour_distance_1 and so on where similar training images were requested, then
    warning if a prediction has one. An image that could not be classified has an error and no other values.
    """
    ranks = max((len(item.labels) for item in predictions), default=1)
    neighbours = max((len(item.neighbours or ()) for item in predictions), default=0)
    header = list(PREDICTION_COLUMNS)
    for rank in range(2, ranks + 1):
        header += [f"label_{rank}", f"probability_{rank}"]
    for rank in range(1, neighbours + 1):
        header += [f"neighbour_{rank}", f"neighbour_label_{rank}", f"neighbour_distance_{rank}"]
    rows = [_filled(_row(item, ranks), len(header)) for item in predictions]
    if any(item.warning for item in predictions):
        header.append("warning")
        rows = [[*row, item.warning] for row, item in zip(rows, predictions, strict=True)]
    return header, rows


def _row(prediction: Prediction, ranks: int) -> list[Any]:
    if prediction.error is not None:
        return [prediction.image, "", "", "", prediction.error]
    pairs = [(label, f"{value:.6f}") for label, value in zip(prediction.labels, prediction.probabilities, strict=True)]
    pairs += [("", "")] * (ranks - len(pairs))
    first, others = pairs[0], pairs[1:]
    near = [(alike.image, alike.label, f"{alike.distance:.6f}") for alike in prediction.neighbours or ()]
    row = [prediction.image, *first, _bool(prediction.unknown), "", prediction.unknown_reason]
    row += [_bool(prediction.uncertain), prediction.second]
    return row + [cell for cells in (*others, *near) for cell in cells]


def _bool(value: bool) -> str:
    return str(value).lower()


def _filled(row: list[Any], columns: int) -> list[Any]:
    return row + [""] * (columns - len(row))


def require_parquet(purpose: str = ".csv or .jsonl, or for .parquet pyarrow") -> None:
    """Check, before any work is done, that Parquet can be read and written.

    Args:
        purpose: what is expected, in the message.

    Raises:
        ConfigError: pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(f"expected {purpose}, found no pyarrow. Run: pip install 'topgraft[parquet]'")


def write_parquet(stream: IO[bytes], predictions: Iterable[Prediction]) -> None:
    """Write predictions as Parquet, see `parquet_table`, a thousand at a time."""
    import pyarrow.parquet

    rows = iter(predictions)
    with pyarrow.parquet.ParquetWriter(stream, _parquet_schema()) as writer:
        while some := list(itertools.islice(rows, _ROWS_AT_A_TIME)):
            writer.write_table(parquet_table(some))


def parquet_table(predictions: Iterable[Prediction]) -> Any:
    """Predictions as a `pyarrow.Table`, a row per image.

    Columns: image, label, probability, unknown, unknown_reason, unknown_explanation, distance, uncertain,
    uncertain_explanation, second, warning, error, the lists labels and probabilities, and neighbours, a list of image,
    label and distance; null where there is no value.
    """
    import pyarrow

    return pyarrow.Table.from_pylist(list(map(_parquet_row, predictions)), _parquet_schema())


def _parquet_schema() -> Any:
    import pyarrow

    text, number = pyarrow.string(), pyarrow.float64()
    columns = {"image": text, "label": text, "probability": number, "unknown": pyarrow.bool_(), "unknown_reason": text}
    columns |= {"unknown_explanation": text, "distance": number, "warning": text, "error": text}
    columns |= {"uncertain": pyarrow.bool_(), "uncertain_explanation": text, "second": text}
    columns |= {"labels": pyarrow.list_(text), "probabilities": pyarrow.list_(number)}
    neighbour = pyarrow.struct({"image": text, "label": text, "distance": number})
    columns |= {"neighbours": pyarrow.list_(neighbour)}
    return pyarrow.schema(columns.items())


def _parquet_row(prediction: Prediction) -> dict[str, Any]:
    if prediction.error is not None:
        return {"image": prediction.image, "error": prediction.error}
    first = {"label": prediction.labels[0], "probability": prediction.probabilities[0]}
    return prediction.to_json() | first
