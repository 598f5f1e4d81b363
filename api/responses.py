"""Rendering of predictions as a response: one table, accepted content type -> renderer.

Responses other than JSON are streams in memory: `deepaas-cli` writes nothing else to a file, and Swagger shows a
stream without a name in place instead of offering a download.
"""

import dataclasses
import io
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from api.errors import BadRequest, NotAnImage
from model.config import PREDICT_DEFAULTS, PredictConfig
from model.durable import to_json
from model.results import Prediction
from model.shown import printable
from model.tables import csv_text

if TYPE_CHECKING:
    from model.serving.predictor import Predictor

log = logging.getLogger(__name__)

# Unreadable files listed in an error message.
_MAX_SHOWN = 3
_SECONDS_BETWEEN_LINES = 5.0


@dataclasses.dataclass(frozen=True)
class Answer:
    """The content of a response.

    Attributes:
        predictor: the model that was used.
        predictions: at least one, computed lazily.
        photo: the content of the only image; None for a zip archive.
        config: the options of the request.
        warnings: about the choice of the model.
    """

    predictor: "Predictor"
    predictions: Iterator[Prediction]
    photo: bytes | None
    config: PredictConfig = PREDICT_DEFAULTS
    warnings: tuple[str, ...] = ()


def as_json(answer: Answer) -> dict[str, Any]:
    """A JSON object as in `api.schemas.response_fields`; `labels` are those of the first readable image.

    Raises:
        NotAnImage: no image of a zip archive can be read.
    """
    predictions = list(answer.predictions)
    readable = [prediction for prediction in predictions if prediction.error is None]
    if not readable:
        raise NotAnImage(_describe_unreadable(predictions))
    first = readable[0]
    warnings = {"warnings": list(answer.warnings)} if answer.warnings else {}
    return {
        "status": "OK",
        "model": answer.predictor.bundle.name,
        **warnings,
        "marks": list(answer.predictor.marks),
        "unknown_judged_by": list(answer.predictor.judged_by),
        "labels": list(first.labels),
        "probabilities": to_json(first.probabilities),
        "predictions": [to_json(prediction.to_json()) for prediction in predictions],
    }


def _describe_unreadable(predictions: list[Prediction]) -> str:
    shown = "; ".join(printable(f"{one.image}: {one.error}") for one in predictions[:_MAX_SHOWN])
    more = f"; and {len(predictions) - _MAX_SHOWN:,} more" if len(predictions) > _MAX_SHOWN else ""
    return (
        f"expected a zip of images, received one of which 0 of {len(predictions):,} files can be read: "
        f"{shown}{more}. Request text/csv to get a row for each."
    )


def as_csv(answer: Answer) -> io.BytesIO:
    """A CSV table with a row per image and the columns of `model.serving.table`."""
    from model.serving.table import predictions_table

    header, rows = predictions_table(list(answer.predictions))
    return io.BytesIO(csv_text(header, rows).encode())


def as_picture(answer: Answer) -> io.BytesIO:
    """A PNG figure: the image, the class activation map of `explain_class` or the top class, the top classes.

    Raises:
        BadRequest: there is more than one image.
        ConfigError: the model has no class `explain_class`.
    """
    if answer.photo is None:
        raise BadRequest("accept: image/png shows one image, received a zip. Request application/json or text/csv.")
    from model.serving.prediction_figure import draw_prediction

    prediction = next(answer.predictions)
    return io.BytesIO(draw_prediction(answer.predictor, answer.photo, prediction, answer.config.explain_class))


RENDERERS: dict[str, Callable[[Answer], Any]] = {
    "application/json": as_json,
    "application/csv": as_csv,
    "image/png": as_picture,
}

ANNOUNCED_AS = {"text/csv": "application/csv"}
"""Further content types of the answers -> those under which Swagger announces them.

The platform's web page does not start if predict announces a type other than application, image, audio or video.
"""

ACCEPTED_TYPES = tuple(
    accepted
    for announced in RENDERERS
    for accepted in (*(other for other, name in ANNOUNCED_AS.items() if name == announced), announced)
)
"""All content types of the answers, preferred first."""


def renderer(accept: str) -> Callable[[Answer], Any]:
    """The renderer of a content type; any other than those of the answers means JSON."""
    return RENDERERS.get(ANNOUNCED_AS.get(accept, accept), as_json)


def log_progress(
    predictions: Iterable[Prediction], name: str, total: int, clock: Callable[[], float] = time.monotonic
) -> Iterator[Prediction]:
    """Pass predictions through; log their number and rate every five seconds, and the total time at the end.

    Args:
        name: the name of the archive given by the client.
        total: the expected number of predictions.
    """
    start = last = clock()
    done = 0
    for prediction in predictions:
        done += 1
        if clock() - last >= _SECONDS_BETWEEN_LINES:
            last = clock()
            log.info("%s: %d of %d images, %.1f images/s", name, done, max(done, total), done / (last - start))
        yield prediction
    seconds = max(clock() - start, 1e-9)
    log.info("%s: all %d images in %.1f s, %.1f images/s", name, done, seconds, done / seconds)
