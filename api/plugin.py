"""The seven things DEEPaaS asks of a module, each: load the configuration, call the library, render.

`warm`, `train` and `predict` run in worker processes and travel there by their name.
"""

import contextlib
import dataclasses
import functools
import importlib.metadata
import io
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from marshmallow import fields

import model
from api.errors import Unavailable, as_http_errors
from api.incoming import guard_server
from api.progress import logged
from api.responses import RENDERERS, Answer
from api.schemas import predict_fields, response_fields, train_fields
from api.uploads import Photos, open_photos
from api.worker import AUTO_RESUME, MODEL_CACHE, MONITOR, REGISTRY, USAGE, USAGE_READER, WANTED, configure_logging
from api.workers import take_over_workers
from model import environment
from model.config import LATEST, PredictConfig, TrainConfig
from model.durable import to_json
from model.errors import ConfigError, NothingTrainedError, TopgraftError, TrainingError
from model.presets import changed_options, preset_options
from model.results import Prediction, TrainingStatus
from model.runs import unfinished_trainings
from model.schema import load
from model.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    from model.serving.predictor import Predictor

log = logging.getLogger(__name__)

schema: dict[str, fields.Field] = response_fields()


def get_metadata() -> dict[str, Any]:
    """Who made this, which models there are, how each unfinished training is; read from disk at each call.

    The server calls it in its event loop: it takes milliseconds and never raises.
    """
    described: dict[str, Any] = dict(_package_metadata())
    try:
        workspace = find_workspace()
        latest = REGISTRY.latest(workspace)
        described |= {
            "models": REGISTRY.summaries(workspace),
            "latest": latest.name,
            "latest_promoted": latest.promoted,
            "warnings": list(latest.warnings),
            "trainings": [_training_summary(status) for status in unfinished_trainings(workspace)],
        }
        if environment.monitor_wanted():
            described["usage"] = USAGE_READER.summary(workspace, REGISTRY)
    except (TopgraftError, OSError) as error:
        nothing: dict[str, Any] = {"models": [], "latest": None, "latest_promoted": False, "warnings": []}
        described |= nothing | {"trainings": [], "problem": str(error)}
    return to_json(described)


def warm() -> None:
    """Go on with interrupted trainings (`auto_resume`), beside all else; load the latest model, so that the first
    predict is as fast as the others; log what stands in the way.

    It must not raise: the server would not start, and training would be out of reach.
    """
    configure_logging()
    try:
        AUTO_RESUME.start(find_workspace())
    except Exception:
        log.exception("interrupted trainings are not gone on with; start them by: topgraft resume NAME")
    try:
        MODEL_CACHE.find(find_workspace(), LATEST)
    except NothingTrainedError as error:
        log.info("nothing to warm: %s", error)
    except Exception:
        log.exception("the latest model could not be loaded; training and other models still work")


def get_train_args() -> dict[str, fields.Field]:
    """The arguments of `train`."""
    return train_fields()


def get_predict_args() -> dict[str, fields.Field]:
    """The arguments of `predict`."""
    # All that DEEPaaS calls in its own process while requests can still be given a limit, and workers be replaced.
    guard_server()
    take_over_workers()
    return predict_fields()


def train(**options: Any) -> dict[str, Any]:
    """Train a model in a process of its own and wait for it.

    Args:
        options: those of `TrainConfig`; checked again here, because `deepaas-cli` does not.

    Returns:
        The result of `model.runs.process.run_training`, as plain JSON types.

    Raises:
        TopgraftError: the message, which DEEPaaS shows as it is, says what to do.
    """
    configure_logging()
    try:
        from model.runs.process import run_training

        # DEEPaaS sends every option, those left alone with their defaults: they must not win over the preset.
        config = load(TrainConfig, preset_options(options), changed_options(options))
        log.info("training with %s", _changed_options(config))
        workspace = find_workspace()
        MONITOR.ensure(workspace)
        return to_json(run_training(config, workspace))
    except TopgraftError:
        raise
    except Exception as error:
        # An exception of another library may not survive pickling, and then the worker never answers again.
        log.exception("the training failed")
        raise TrainingError(f"the training failed, please report it with the server's log: {error!r}") from error


def predict(
    image: Any = None, url: str | None = None, accept: str = "application/json", **options: Any
) -> dict[str, Any] | io.BytesIO:
    """Classify a photo, or each photo of a zip.

    Args:
        image: DEEPaaS's `UploadedFile`.
        url: an http, https or data URI.
        accept: a content type of `api.responses.RENDERERS`; any other means JSON.
        options: those of `PredictConfig`.

    Returns:
        A JSON object (`api.schemas.response_fields`), or a stream of the picture or table asked for.

    Raises:
        ApiError: the answer is an HTTP error.
    """
    configure_logging()
    with USAGE.request(accept) as request, as_http_errors(), open_photos(image, url) as photos:
        config = load(PredictConfig, options)
        predictor, warnings = MODEL_CACHE.find(_workspace(), config.model)
        render = RENDERERS.get(accept, RENDERERS["application/json"])
        wanted = WANTED.checked(_predictions(predictor, photos, config))
        predictions = request.counted(wanted, predictor.bundle, photos.single is None)
        if photos.single is None:
            predictions = logged(predictions, photos.name, photos.total)
        return render(Answer(predictor, predictions, photos.single, config, warnings))


def _predictions(predictor: "Predictor", photos: Photos, config: PredictConfig) -> Iterator[Prediction]:
    """A prediction for each photo; the error of a single one is raised instead."""
    for prediction in predictor.predict(photos.images, config):
        if prediction.error is not None and photos.single is not None:
            predictor.decode(photos.single)  # raises the error whose class decides the status
        yield prediction
    yield from photos.unreadable


def _changed_options(config: TrainConfig) -> str:
    defaults = TrainConfig()
    changed = {name: value for name, value in vars(config).items() if value != getattr(defaults, name)}
    return ", ".join(f"{name}={value!r}" for name, value in changed.items()) or "the defaults"


def _workspace() -> Workspace:
    """The workspace; that there is none is the operator's affair, not the client's."""
    try:
        return find_workspace()
    except ConfigError as error:
        raise Unavailable(error.message) from error


def _training_summary(status: TrainingStatus) -> dict[str, Any]:
    hidden = ("pid", "ticket", "checkpoint")
    return {name: value for name, value in dataclasses.asdict(status).items() if name not in hidden}


@functools.cache
def _package_metadata() -> dict[str, str]:
    """From the installed distribution; from the code where it only lies on the path."""
    described = {
        "name": "topgraft",
        "version": model.__version__,
        "author": "The Topgraft authors",
        "license": "Apache-2.0",
        "summary": "Image classifiers by transfer learning: from a folder of photos to an answer in Swagger UI",
    }
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        installed = importlib.metadata.metadata("topgraft")
        found = {key: installed[key.capitalize()] for key in described}
        found["license"] = found["license"] or installed["License-Expression"]
        described |= {key: text for key, text in found.items() if text}
    return described | {"description": described["summary"]}
