"""Requests as they arrive, in the server's own process: refused while they arrive if too large or damaged.

DEEPaaS receives a request whole before a worker sees any of it, unpacks what is packed, has no limit of its own,
and answers 500 for a form, and for some JSON, that cannot be read.
"""

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator

from aiohttp import web

from api.abandoned import Handler, give_up_abandoned
from api.data_uri import MAX_CHARACTERS
from api.errors import ApiError, BadRequest, TooLarge
from api.temporary import temporary_folder_explained
from model import environment
from model.errors import TopgraftError, TrainingStoppedError

log = logging.getLogger(__name__)

# For the names and other fields of a form.
_FORM_OVERHEAD = 1 << 20
_LONGEST_REASON = 200
_PACKINGS = ("", "identity", "gzip")


def guard_server() -> None:
    """Have this process's DEEPaaS, if it is starting one, check requests as they arrive."""
    server = sys.modules.get("deepaas.api")
    application: web.Application | None = getattr(server, "APP", None)
    if application is not None and not application.frozen and check_request not in application.middlewares:
        application.middlewares.extend((check_request, answer_deletion, give_up_abandoned))


@web.middleware
async def check_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Receive the form or JSON of a request within its limit, then let it be handled.

    Raises:
        BadRequest: it cannot be read.
        TooLarge: the request is larger than allowed, as announced or as unpacked.
        Unavailable: there is no room for its files.
    """
    limit = _limit(request)
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    _check_charset(request)
    _check_packing(request)
    limited = request.clone(client_max_size=limit)
    try:
        with temporary_folder_explained():
            await _receive(limited)
        try:
            return await handler(limited)
        finally:
            await _close_files(limited)
    except web.HTTPRequestEntityTooLarge as error:
        raise error if isinstance(error, ApiError) else _too_large(limit) from error


@web.middleware
async def answer_deletion(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell how the training ended that a request deletes; DEEPaaS answers 500 if it did not end well."""
    try:
        return await handler(request)
    except (TopgraftError, ApiError) as error:
        if request.method != "DELETE":
            raise
        status = "cancelled" if isinstance(error, TrainingStoppedError) else "error"
        described = {"uuid": request.match_info.get("uuid"), "status": status, "message": error.message}
        return web.json_response(described)


async def _receive(request: web.Request) -> None:
    """The request keeps what was received; a body that is neither form nor JSON is left for the handler to read."""
    kind, read = ("JSON", request.json) if _is_json(request) else ("a form", request.post)
    try:
        with _room_given_back():
            await read()
    except (web.HTTPException, MemoryError):
        raise
    except ConnectionError as error:
        log.info("the client hung up before its request was whole")
        raise BadRequest("expected the whole request, the connection was closed.") from error
    except OSError:
        raise  # a full disk is not the client's fault
    except Exception as error:
        # There are many ways to be wrong, and as many classes of errors in aiohttp; some quote the whole body.
        why = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
        raise BadRequest(f"expected {kind} that can be read, received: {why}") from error


@contextlib.contextmanager
def _room_given_back() -> Iterator[None]:
    """An error holds the frames it went through, and they the file that was written, until garbage is collected."""
    try:
        yield
    except Exception as error:
        traceback.clear_frames(error.__traceback__)
        raise


async def _close_files(request: web.Request) -> None:
    """aiohttp closes those of its own request only, not of a clone: they would take room until garbage is collected."""
    for field in (await request.post()).values():
        if isinstance(field, web.FileField):
            field.file.close()


def _is_json(request: web.Request) -> bool:
    return request.body_exists and request.content_type.endswith(("/json", "+json"))


def _check_charset(request: web.Request) -> None:
    try:
        "".encode(request.charset or "utf-8")
    except (LookupError, UnicodeError) as error:
        raise BadRequest(f"expected a charset such as utf-8, received {request.charset!r}.") from error


def _check_packing(request: web.Request) -> None:
    """aiohttp would wait for ever for the end of a deflated body that has none."""
    packing = request.headers.get("Content-Encoding", "")
    if packing.lower() not in _PACKINGS:
        raise BadRequest(f"expected a body as it is, or packed with gzip, received one packed with {packing!r}.")


def _limit(request: web.Request) -> int:
    """In bytes: a file goes to the disk as it arrives, any other body is in memory as a whole."""
    is_file = request.content_type == "multipart/form-data"
    most = environment.max_upload_bytes() if is_file else min(environment.max_upload_bytes(), MAX_CHARACTERS)
    own = request.client_max_size or sys.maxsize  # deepaas-run --client-max-size
    return min(most + _FORM_OVERHEAD, own)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"expected a request of at most {limit} bytes, received more. Send less at a time, or a file for a text; "
        "the operator of this service can change the limit with TOPGRAFT_MAX_UPLOAD_MB."
    )
