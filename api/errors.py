"""Errors as HTTP answers, and the one table that turns Topgraft's errors into them.

DEEPaaS sends an exception from the worker to the server pickled, and a worker whose exception cannot be
unpickled never answers again. Hence each class here takes one message and says so in `__reduce__`.
"""

import contextlib
import json
import logging
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from model import errors

log = logging.getLogger(__name__)

# A worker that was lost is replaced within two or three.
_SECONDS_TO_RETRY_AFTER = 5


class ApiError(web.HTTPException):
    """An HTTP error that survives pickling; its body is `{"message": ...}`.

    Subclasses take their status from a class of aiohttp.
    """

    def __init__(self, message: str) -> None:
        # It may quote what a client sent, and that hold half of a surrogate pair, which cannot be encoded.
        self.message = message.encode(errors="backslashreplace").decode()
        # Not super(): some of aiohttp's classes ask for more, such as the sizes of a 413.
        web.HTTPException.__init__(
            self, text=json.dumps({"message": self.message}, ensure_ascii=False), content_type="application/json"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message,)

    def __str__(self) -> str:
        return self.message


class BadRequest(ApiError, web.HTTPBadRequest):
    """400: what was sent makes no sense."""


class NotFound(ApiError, web.HTTPNotFound):
    """404: there is no trained model of that name."""


class TooLarge(ApiError, web.HTTPRequestEntityTooLarge):
    """413: more bytes or pixels than allowed."""


class NotAnImage(ApiError, web.HTTPUnsupportedMediaType):
    """415: the bytes are not a picture we can decode."""


class BadField(ApiError, web.HTTPUnprocessableEntity):
    """422: a field has a value that cannot be used."""


class InternalError(ApiError, web.HTTPInternalServerError):
    """500: our own fault, never the request's."""


class Unavailable(ApiError, web.HTTPServiceUnavailable):
    """503: the server cannot answer until somebody acts: trains a model, repairs one, waits."""


class TryAgain(Unavailable):
    """503 with Retry-After: nobody needs to act, the same request can be answered in some seconds."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers["Retry-After"] = str(_SECONDS_TO_RETRY_AFTER)


# A test fails when a class of model.errors is missing here.
HTTP_ERRORS: dict[type[errors.TopgraftError], type[ApiError]] = {
    errors.TopgraftError: InternalError,
    errors.ConfigError: BadField,
    errors.TrainingBusyError: Unavailable,
    errors.DatasetError: BadRequest,
    errors.ArchiveError: BadRequest,
    errors.ArchiveTooLargeError: TooLarge,
    errors.ImageError: NotAnImage,
    errors.ImageTooLargeError: TooLarge,
    errors.ModelError: Unavailable,
    errors.ModelNotFoundError: NotFound,
    errors.NothingTrainedError: Unavailable,
    errors.ModelDamagedError: Unavailable,
    errors.ModelBusyError: TryAgain,
    errors.WeightsError: Unavailable,
    errors.StorageError: Unavailable,
    errors.StorageSettingsError: Unavailable,
    errors.StorageRefusedError: Unavailable,
    errors.StorageNotFoundError: BadRequest,
    errors.StorageFullError: Unavailable,
    errors.StorageBusyError: TryAgain,
    errors.StorageUnreachableError: Unavailable,
    errors.StorageDamagedError: Unavailable,
    errors.TrackingError: Unavailable,
    errors.FetchError: BadRequest,
    errors.FetchTooLargeError: TooLarge,
    errors.TrainingError: InternalError,
    errors.ExportError: InternalError,
    errors.TrainingStoppedError: Unavailable,
}


def to_http(error: errors.TopgraftError) -> ApiError:
    """The HTTP error for one of Topgraft's: that of its class, or of the nearest class above it."""
    return next(HTTP_ERRORS[known] for known in type(error).__mro__ if known in HTTP_ERRORS)(error.message)


@contextlib.contextmanager
def as_http_errors() -> Iterator[None]:
    """Raise every error inside as an `ApiError`: ours by the table, want of memory as 503, others as a logged 500."""
    try:
        yield
    except ApiError as error:
        log.info("refused with %s: %s", error.status, error)
        raise
    except errors.TopgraftError as error:
        answer = to_http(error)
        log.info("refused with %s: %s", answer.status, answer)
        raise answer from error
    except MemoryError as error:
        log.exception("out of memory")
        raise TryAgain("there is too little memory for this now. Send less at a time, or try again.") from error
    except Exception as error:
        log.exception("unexpected error")
        raise InternalError(f"unexpected error, please report it with the server's log: {error!r}") from error
