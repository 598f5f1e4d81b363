"""From predictions to an answer: one table, accepted content type -> renderer.

What is not JSON is a stream in memory: `deepaas-cli` writes nothing else to a file, and without a name
Swagger shows it in place instead of offering a download.
"""

import csv
import dataclasses
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from api.errors import BadRequest, NotAnImage
from model.config import PREDICT_DEFAULTS, PredictConfig
from model.durable import to_json
from model.files.browsing import printable
from model.results import Prediction

# Of files that cannot be read, in a message.
_MOST_SHOWN = 3

if TYPE_CHECKING:
    from model.serving.predictor import Predictor


@dataclasses.dataclass(frozen=True)
class Answer:
    """What there is to render.

    Attributes:
        predictor: the model that answered.
        predictions: at least one, made as they are asked for.
        photo: the content of the only image; None for a zip.
        config: what was asked for.
        warnings: what the client should know of the choice of the model.
    """

    predictor: "Predictor"
    predictions: Iterator[Prediction]
    photo: bytes | None
    config: PredictConfig = PREDICT_DEFAULTS
    warnings: tuple[str, ...] = ()


def as_json(answer: Answer) -> dict[str, Any]:
    """The answer as in `api.schemas.response_fields`; labels and probabilities are the first readable image's.

    Raises:
        NotAnImage: no image of a zip can be read.
    """
    predictions = list(answer.predictions)
    readable = [prediction for prediction in predictions if prediction.error is None]
    if not readable:
        raise NotAnImage(_none_can_be_read(predictions))
    first = readable[0]
    told = {"warnings": list(answer.warnings)} if answer.warnings else {}
    return {
        "status": "OK",
        "model": answer.predictor.bundle.name,
        **told,
        "unknown_judged_by": list(answer.predictor.judged_by),
        "labels": list(first.labels),
        "probabilities": to_json(first.probabilities),
        "predictions": [to_json(prediction.to_json()) for prediction in predictions],
    }


def _none_can_be_read(predictions: list[Prediction]) -> str:
    shown = "; ".join(printable(f"{one.image}: {one.error}") for one in predictions[:_MOST_SHOWN])
    more = f"; and {len(predictions) - _MOST_SHOWN:,} more" if len(predictions) > _MOST_SHOWN else ""
    return (
        f"expected a zip of pictures, received one of which 0 of {len(predictions):,} files can be read: "
        f"{shown}{more}. Ask for text/csv to get a row for each."
    )


def as_csv(answer: Answer) -> io.BytesIO:
    """A table with a row for each image; its columns are those of `model.serving.table`."""
    from model.serving.table import predictions_table

    header, rows = predictions_table(list(answer.predictions))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    # A manifest made elsewhere can name classes with half of a surrogate pair.
    return io.BytesIO(table.getvalue().encode(errors="backslashreplace"))


def as_picture(answer: Answer) -> io.BytesIO:
    """A PNG: the photo, what speaks for its first class or the one asked for, the most probable classes.

    Raises:
        BadRequest: there is more than one image.
        ConfigError: the class asked for is none of the model's.
    """
    if answer.photo is None:
        raise BadRequest("accept: image/png shows one image, received a zip. Ask for application/json or text/csv.")
    from model.serving.prediction_figure import draw_prediction

    prediction = next(answer.predictions)
    return io.BytesIO(draw_prediction(answer.predictor, answer.photo, prediction, answer.config.explain_class))


RENDERERS: dict[str, Callable[[Answer], Any]] = {
    "application/json": as_json,
    "text/csv": as_csv,
    "image/png": as_picture,
}
