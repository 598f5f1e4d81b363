"""HTTP errors, and the table that maps Topgraft's errors to them.

DEEPaaS pickles an exception in the worker and unpickles it in the server; a worker whose exception cannot be unpickled
never responds again. Hence each class here takes a single message, which `__reduce__` returns.
"""

import contextlib
import json
import logging
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from model import errors
from model.reading import with_class
from model.received import quoted
from model.shown import printable_text

log = logging.getLogger(__name__)

# A worker that died is replaced within two or three seconds.
_SECONDS_TO_RETRY_AFTER = 5


MAX_MESSAGE = 10_000
"""Characters of a message: the problems of a dataset can be many."""


def limited(message: str) -> str:
    """A message of at most `MAX_MESSAGE` characters; the end of a longer one is left out."""
    return message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE - 3]}..."


class ApiError(web.HTTPException):
    """A picklable HTTP error with the body `{"message": ...}`; subclasses inherit their status from aiohttp."""

    def __init__(self, message: str) -> None:
        self.message = printable_text(limited(message))
        # Not super(): some classes of aiohttp require more arguments, such as the sizes of a 413.
        web.HTTPException.__init__(
            self, text=json.dumps({"message": self.message}, ensure_ascii=False), content_type="application/json"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message,)

    def __str__(self) -> str:
        return self.message


class BadRequest(ApiError, web.HTTPBadRequest):
    """400: the request is malformed."""


class NotFound(ApiError, web.HTTPNotFound):
    """404: there is no trained model of that name."""


class NotAcceptable(ApiError, web.HTTPNotAcceptable):
    """406: the client accepts no content type of the answers."""


class TooLarge(ApiError, web.HTTPRequestEntityTooLarge):
    """413: more bytes or pixels than allowed, or an image that takes longer to decode."""


class NotAnImage(ApiError, web.HTTPUnsupportedMediaType):
    """415: the content is not an image that can be decoded."""


class BadField(ApiError, web.HTTPUnprocessableEntity):
    """422: a field has an invalid value."""


class InternalError(ApiError, web.HTTPInternalServerError):
    """500: an error of the service, never of the request."""


class Unavailable(ApiError, web.HTTPServiceUnavailable):
    """503: the service cannot answer until a condition changes, for example until a model is trained or repaired."""


class TryAgain(Unavailable):
    """503 with Retry-After: the same request can succeed in some seconds, without any action."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers["Retry-After"] = str(_SECONDS_TO_RETRY_AFTER)


# A test fails if a class of model.errors is missing here.
HTTP_ERRORS: dict[type[errors.TopgraftError], type[ApiError]] = {
    errors.TopgraftError: InternalError,
    errors.ConfigError: BadField,
    errors.TrainingBusyError: Unavailable,
    errors.DatasetError: BadRequest,
    errors.ArchiveError: BadRequest,
    errors.ArchiveTooLargeError: TooLarge,
    errors.ImageError: NotAnImage,
    errors.ImageTooLargeError: TooLarge,
    errors.ImageTooSlowError: TooLarge,
    errors.ImageNotSupportedError: NotAnImage,
    errors.ModelError: Unavailable,
    errors.ModelNotFoundError: NotFound,
    errors.NothingTrainedError: Unavailable,
    errors.ModelDamagedError: Unavailable,
    errors.ModelBusyError: TryAgain,
    errors.WeightsError: Unavailable,
    errors.StorageError: Unavailable,
    errors.StorageSettingsError: Unavailable,
    errors.StorageRefusedError: Unavailable,
    errors.StorageRequestTooLargeError: Unavailable,
    errors.StorageNotFoundError: BadRequest,
    errors.StorageFullError: Unavailable,
    errors.StorageBusyError: TryAgain,
    errors.StorageUnreachableError: Unavailable,
    errors.StorageDamagedError: Unavailable,
    errors.TrackingError: Unavailable,
    errors.StepError: InternalError,
    errors.FetchError: BadRequest,
    errors.FetchTooLargeError: TooLarge,
    errors.TrainingError: InternalError,
    errors.ExportError: InternalError,
    errors.TrainingStoppedError: Unavailable,
}


def to_http(error: errors.TopgraftError) -> ApiError:
    """The HTTP error for an error of Topgraft: that of its class, or of the nearest base class in the table."""
    return next(HTTP_ERRORS[known] for known in type(error).__mro__ if known in HTTP_ERRORS)(error.message)


@contextlib.contextmanager
def as_http_errors() -> Iterator[None]:
    """Raise every error inside as an `ApiError`: by the table, for lack of memory as 503, any other as a logged 500."""
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
        raise TryAgain("the server has too little memory at the moment. Send less at a time, or try again.") from error
    except Exception as error:
        log.exception("unexpected error")
        raise InternalError(
            "unexpected error, please report it with the server's log: " + quoted(with_class(error))
        ) from error
