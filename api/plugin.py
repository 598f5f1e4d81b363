"""The seven names that DEEPaaS imports from a module; each function loads options, calls the library and renders.

`warm`, `train` and `predict` run in worker processes, where they are looked up by name.
"""

import contextlib
import dataclasses
import functools
import importlib.metadata
import io
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from marshmallow import fields

import model
from api.arguments import reuse_argument_schemas
from api.errors import as_http_errors, limited
from api.incoming import guard_server
from api.reports import add_report_route
from api.responses import Answer, log_progress, renderer
from api.schemas import predict_fields, response_fields, train_fields
from api.service_address import report_path, report_url, set_service_url
from api.uploads import Photos, open_photos
from api.worker_pool import install_worker_pool
from api.worker_state import (
    AUTO_RESUME,
    CANCELLATION,
    MODEL_CACHE,
    MONITOR,
    REGISTRY,
    USAGE,
    USAGE_READER,
    configure_logging,
    is_server,
)
from api.workspace import service_workspace
from model import environment
from model.bundle_files import REPORT
from model.config import LATEST, PredictConfig, TrainConfig, non_default_options
from model.durable import to_json
from model.errors import ImageError, NothingTrainedError, TopgraftError, TrainingError
from model.presets import changed_options, train_config
from model.reading import with_class, with_path
from model.received import quoted
from model.registry import RegisteredModel, registered_leaderboards
from model.results import Prediction, TrainingStatus
from model.runs import unfinished_trainings
from model.schema import load
from model.scratch import remove_leftovers
from model.sharing import share_with_group
from model.storage.allowed_folders import restrict_paths
from model.training_result import TrainingResult
from model.workspace import find_workspace

if TYPE_CHECKING:
    from model.serving.predictor import Predictor

log = logging.getLogger(__name__)

schema: dict[str, fields.Field] = response_fields()


def get_metadata() -> dict[str, Any]:
    """Metadata of the package, the trained models and the unfinished trainings, read from disk at each call.

    The server calls it in its event loop: it takes milliseconds and never raises.
    """
    described: dict[str, Any] = dict(_package_metadata())
    try:
        workspace = find_workspace()
        latest, models = REGISTRY.latest(workspace), REGISTRY.models(workspace)
        described |= {
            "models": [_model_summary(model) for model in reversed(models)],
            "leaderboard": [dataclasses.asdict(board) for board in registered_leaderboards(models)],
            "latest": latest.name,
            "latest_promoted": latest.promoted,
            "warnings": list(latest.warnings),
            "trainings": [_training_summary(status) for status in unfinished_trainings(workspace)],
        }
        if tensorboard := MONITOR.url(workspace):
            described["tensorboard"] = tensorboard
        if page := environment.PAGE_URL.read():
            described["page"] = page
        if environment.MONITOR.read():
            described["usage"] = USAGE_READER.summary(workspace, REGISTRY)
    except (TopgraftError, OSError) as error:
        empty: dict[str, Any] = {
            "models": [],
            "leaderboard": [],
            "latest": None,
            "latest_promoted": False,
            "warnings": [],
        }
        described |= empty | {"trainings": [], "problem": with_path(error)}
    return to_json(described)


def warm() -> None:
    """Warm up a worker: remove leftovers, resume interrupted trainings (`auto_resume`), load the latest model.

    Errors are logged, not raised: the server would not start, and training would not be available.
    """
    configure_logging()
    try:
        share_with_group(find_workspace())
        remove_leftovers(find_workspace())
    except Exception:
        log.exception("files that killed processes left could not be removed")
    try:
        AUTO_RESUME.start(find_workspace())
    except Exception:
        log.exception("could not resume interrupted trainings; resume them with: topgraft resume NAME")
    try:
        MODEL_CACHE.find(find_workspace(), LATEST)
    except NothingTrainedError as error:
        log.info("no model to load: %s", error)
    except Exception:
        log.exception("the latest model could not be loaded; training and other models still work")


def get_train_args() -> dict[str, fields.Field]:
    """Arguments of `train`."""
    return train_fields()


def get_predict_args() -> dict[str, fields.Field]:
    """Arguments of `predict`; in a starting server, also installs the request checks and the worker pool."""
    # The only function DEEPaaS calls in the server process before it starts serving.
    guard_server()
    add_report_route()
    set_service_url()
    install_worker_pool()
    reuse_argument_schemas()
    return predict_fields()


def train(**options: Any) -> dict[str, Any]:
    """Train a model in a child process and wait for it.

    Args:
        options: options of `TrainConfig`; validated here, because `deepaas-cli` does not validate them.

    Returns:
        The `model.training_result.TrainingResult` as plain JSON types, with `report`, the path of its report on the
        server.

    Raises:
        TopgraftError: DEEPaaS shows its message as the error of the training.
    """
    configure_logging()
    try:
        from model.runs.process import run_training

        # DEEPaaS passes every option, unset ones with their defaults, which must not override the preset.
        config = train_config(changed_options(options))
        log.info("training with %s", _changed_options(config))
        workspace = find_workspace()
        if is_server():
            config = restrict_paths(config, workspace)
        MONITOR.ensure(workspace)
        return _with_report(run_training(config, workspace))
    except TopgraftError as error:
        if limited(error.message) == error.message:
            raise
        raise type(error)(limited(error.message)) from error
    except Exception as error:
        # An exception of another library may not be picklable, and the worker would never respond again.
        log.exception("the training failed")
        raise TrainingError(
            "the training failed, please report it with the server's log: " + quoted(with_class(error))
        ) from error


def predict(
    image: Any = None, url: str | None = None, accept: str = "application/json", **options: Any
) -> dict[str, Any] | io.BytesIO:
    """Classify an image, or each image of a zip archive.

    Args:
        image: `SentFile` or `UploadedFile` of `api.temporary`; from `deepaas-cli`, its own `UploadedFile`.
        url: an http, https or data URI.
        accept: a content type of `api.responses.ACCEPTED_TYPES`; any other means JSON.
        options: options of `PredictConfig`.

    Returns:
        A JSON object (`api.schemas.response_fields`), or a stream with the requested figure or table.

    Raises:
        ApiError: an HTTP error.
    """
    configure_logging()
    with USAGE.request(accept) as request, as_http_errors(), open_photos(image, url) as photos:
        config = _predict_config(options)
        CANCELLATION.check()
        predictor, warnings = MODEL_CACHE.find(service_workspace(), config.model)
        CANCELLATION.check()
        predictions = CANCELLATION.checked(_predictions(predictor, photos, config))
        predictions = request.counted(predictions, predictor.bundle, photos.single is None)
        if photos.single is None:
            predictions = log_progress(predictions, photos.name, photos.total)
        return renderer(accept)(Answer(predictor, predictions, photos.single, config, warnings))


def _predict_config(options: dict[str, Any]) -> PredictConfig:
    try:
        return _known_config(**options)
    except TypeError:  # a value that cannot be a key, which is invalid
        return load(PredictConfig, options)


@functools.lru_cache(maxsize=64, typed=True)
def _known_config(**options: Any) -> PredictConfig:
    """Options of a request: most requests have the same, and validating them takes longer than finding them."""
    return load(PredictConfig, options)


def _predictions(predictor: "Predictor", photos: Photos, config: PredictConfig) -> Iterator[Prediction]:
    """Predict each image; the error of a single image is raised instead of returned, its class gives the status."""
    from model.serving.predictor import failed_prediction

    on_error = failed_prediction if photos.single is None else _raise
    yield from predictor.predict_stream(photos.images, config, on_error=on_error)
    yield from photos.unreadable


def _raise(_photo: object, error: ImageError) -> NoReturn:
    raise error


def _changed_options(config: TrainConfig) -> str:
    return ", ".join(f"{name}={quoted(value)}" for name, value in non_default_options(config).items()) or "the defaults"


def _with_report(result: TrainingResult) -> dict[str, Any]:
    """A result as JSON, with the path of its report on the server; an imported model may have none."""
    if not (result.path / REPORT).is_file():
        return result.to_json()
    log.info("report of %s: %s", result.model, report_url(result.model))
    return result.to_json() | {"report": report_path(result.model)}


def _model_summary(model: RegisteredModel) -> dict[str, Any]:
    return model.summary | ({"report": report_path(model.name)} if REPORT in model.files else {})


def _training_summary(status: TrainingStatus) -> dict[str, Any]:
    hidden = ("pid", "ticket", "checkpoint")
    return {name: value for name, value in dataclasses.asdict(status).items() if name not in hidden}


@functools.cache
def _package_metadata() -> dict[str, str]:
    """Metadata of the installed distribution; defaults if the package is only on the path."""
    described = {
        "name": "topgraft",
        "version": model.__version__,
        "author": "The Topgraft authors",
        "license": "Apache-2.0",
        "summary": "Image classifiers by transfer learning: from a folder of photos to predictions in Swagger UI",
    }
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        installed = importlib.metadata.metadata("topgraft")
        found = {key: installed[key.capitalize()] for key in described}
        found["license"] = found["license"] or installed["License-Expression"]
        described |= {key: text for key, text in found.items() if text}
    return described | {"description": described["summary"]}
