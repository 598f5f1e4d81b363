"""Middleware of the server that checks requests while they arrive, and refuses those that are too large or malformed.

DEEPaaS itself receives a request as a whole, decompresses it, has no size limit, and responds with 500 to a malformed
form and to some malformed JSON.
"""

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator

from aiohttp import web
from aiohttp.typedefs import Handler

from api.arguments import check_arguments
from api.body_memory import BodyMemory, BodyShare, read_body
from api.cancellation import cancel_if_disconnected, is_prediction
from api.data_uri import MAX_CHARACTERS
from api.errors import ApiError, BadRequest, TooLarge
from api.forms import check_charset, read_form
from api.negotiation import negotiate_content_type
from api.temporary import explain_temporary_errors
from api.training_list import limit_trainings
from model import environment
from model.errors import TopgraftError, TrainingStoppedError
from model.logs import protect_logs
from model.reading import with_class
from model.received import quoted
from model.web.connections import limit_connections
from model.web.origins import origin_check

log = logging.getLogger(__name__)

# Bytes for the names and the other fields of a form.
_FORM_OVERHEAD = 1 << 20
# Bytes of a request that is no prediction: the arguments of a training are a few kilobytes.
_MAX_ARGUMENTS = 1 << 20
_MAX_JSON_VALUES = 10_000
_MAX_REASON_CHARACTERS = 200
_CONTENT_ENCODINGS = ("", "identity", "gzip")
_memory = BodyMemory()


def guard_server() -> None:
    """Add the middlewares to the DEEPaaS server in this process, if one is starting."""
    server = sys.modules.get("deepaas.api")
    application: web.Application | None = getattr(server, "APP", None)
    if application is not None and not application.frozen and check_request not in application.middlewares:
        application.middlewares.extend(MIDDLEWARES)
        limit_connections(application)
        protect_logs()


@web.middleware
async def check_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Receive the form or JSON of a request within its size limit, then handle it.

    Raises:
        BadRequest: the body is malformed.
        TooLarge: the request is larger than allowed, as announced or after decompression.
        Unavailable: there is no space for its files.
    """
    limit = _limit(request)
    if (request.content_length or 0) > limit:
        raise _too_large(request, limit)
    check_charset(request.charset)
    _check_content_encoding(request)
    limited = request.clone(client_max_size=limit)
    try:
        with _memory.share() as share:
            with explain_temporary_errors():
                await _receive(limited, share)
            try:
                return await handler(limited)
            finally:
                await _close_files(limited)
    except web.HTTPRequestEntityTooLarge as error:
        raise error if isinstance(error, ApiError) else _too_large(request, limit) from error


@web.middleware
async def describe_deletion(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Respond to DELETE with how the training ended; DEEPaaS responds with 500 if it was cancelled or failed."""
    try:
        return await handler(request)
    except (TopgraftError, ApiError) as error:
        if request.method != "DELETE":
            raise
        status = "cancelled" if isinstance(error, TrainingStoppedError) else "error"
        described = {"uuid": request.match_info.get("uuid"), "status": status, "message": error.message}
        return web.json_response(described)


MIDDLEWARES = (
    origin_check(),
    negotiate_content_type,
    check_request,
    check_arguments,
    limit_trainings,
    describe_deletion,
    cancel_if_disconnected,
)
"""The middlewares of the server, the outermost first."""


async def _receive(request: web.Request, share: BodyShare) -> None:
    """Read the form, JSON or other body, which the request caches."""
    kind, read = ("JSON", _read_json) if _is_json(request) else ("a form", _read_form)
    try:
        with _release_files_of_errors():
            await read(request, share)
    except (web.HTTPException, MemoryError):
        raise
    except ConnectionError as error:
        log.info("the client disconnected before its request was complete")
        raise BadRequest("expected a complete request, the connection was closed.") from error
    except OSError:
        raise  # a full disk is not the client's fault
    except Exception as error:
        # aiohttp raises many classes of errors for malformed bodies; some quote the whole body.
        reason = with_class(error)[:_MAX_REASON_CHARACTERS]
        raise BadRequest(f"expected {kind} that can be read, received: {reason}") from error


async def _read_json(request: web.Request, share: BodyShare) -> None:
    body = await read_body(request, share)
    if sum(map(body.count, (b",", b"[", b"{"))) > _MAX_JSON_VALUES:
        raise BadRequest(f"expected JSON with at most {_MAX_JSON_VALUES:,} values, received more.")
    await request.json()


async def _read_form(request: web.Request, share: BodyShare) -> None:
    if request.content_type == "multipart/form-data" and request.method == "POST":
        await read_form(request, min(request.client_max_size, MAX_CHARACTERS + _FORM_OVERHEAD), share)
    elif request.body_exists:
        # Of a form without files, or of a type that is refused later.
        await read_body(request, share)
    await request.post()


@contextlib.contextmanager
def _release_files_of_errors() -> Iterator[None]:
    """Clear the frames of an error: they hold the file that was being written until garbage is collected."""
    try:
        yield
    except Exception as error:
        traceback.clear_frames(error.__traceback__)
        raise


async def _close_files(request: web.Request) -> None:
    """Close the uploaded files: aiohttp does not close those of a cloned request, and they take up space until then."""
    for field in (await request.post()).values():
        if isinstance(field, web.FileField):
            field.file.close()


def _is_json(request: web.Request) -> bool:
    return request.body_exists and request.content_type.endswith(("/json", "+json"))


def _check_content_encoding(request: web.Request) -> None:
    """Refuse encodings other than gzip: aiohttp waits forever for the end of a truncated deflate body."""
    encoding = request.headers.get("Content-Encoding", "")
    if encoding.lower() not in _CONTENT_ENCODINGS:
        raise BadRequest(f"expected a body without Content-Encoding, or with gzip, received {quoted(encoding)}.")


def _limit(request: web.Request) -> int:
    """Size limit in bytes; lower for bodies other than uploads, which are kept in memory."""
    own = request.client_max_size or sys.maxsize  # deepaas-run --client-max-size
    if not is_prediction(request):
        return min(_MAX_ARGUMENTS, own)
    is_file = request.content_type == "multipart/form-data"
    largest = environment.MAX_UPLOAD.read()
    allowed = largest if is_file else min(largest, MAX_CHARACTERS)
    return min(allowed + _FORM_OVERHEAD, own)


def _too_large(request: web.Request, limit: int) -> TooLarge:
    if not is_prediction(request):
        return TooLarge(f"expected a request of at most {limit} bytes, received more.")
    return TooLarge(
        f"expected a request of at most {limit} bytes, received more. Send less at a time, or a file instead of text; "
        "the operator of this service can change the limit with TOPGRAFT_MAX_UPLOAD_MB."
    )
