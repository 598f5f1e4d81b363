"""Cancellation of predictions whose client has disconnected, on both sides: in the server and in the worker process."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar

from aiohttp import web
from aiohttp.typedefs import Handler

from api.errors import Unavailable
from model.errors import TrainingStoppedError
from model.results import Prediction

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_CHECKS = 1.0
# nginx logs this status for a client that disconnected; no client receives it.
_CLIENT_CLOSED_REQUEST = 499


@web.middleware
async def cancel_if_disconnected(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware of the server: cancel the handler of a prediction when its client disconnects.

    `api.worker_pool.WorkerPool.apply` passes the cancellation on to the worker process.
    """
    if not is_prediction(request):
        return await handler(request)
    response = asyncio.ensure_future(handler(request))
    try:
        while not (await asyncio.wait({response}, timeout=_SECONDS_BETWEEN_CHECKS))[0]:
            if _is_disconnected(request):
                return await _cancelled(response)
        return await response
    finally:
        response.cancel()


def is_prediction(request: web.Request) -> bool:
    """Whether a request is a prediction."""
    return request.method == "POST" and request.path.rstrip("/").endswith("/predict")


def _is_disconnected(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def _cancelled(response: "asyncio.Future[web.StreamResponse]") -> web.Response:
    response.cancel()
    with contextlib.suppress(asyncio.CancelledError, TrainingStoppedError):
        await response
    log.info("the client disconnected before the response: its request is cancelled")
    return web.Response(status=_CLIENT_CLOSED_REQUEST)


class Cancellation:
    """Cancellation of the request that this thread handles, as seen in a worker process.

    Without a source, as in `deepaas-cli`, no request is ever cancelled.
    """

    def __init__(self) -> None:
        self._source: ContextVar[tuple[Callable[[], bool], Callable[[], None]] | None] = ContextVar(
            "source", default=None
        )

    @contextlib.contextmanager
    def source(self, is_cancelled: Callable[[], bool], report_progress: Callable[[], None]) -> Iterator[None]:
        """Use functions inside that say whether the request is cancelled, and report that it advances."""
        token = self._source.set((is_cancelled, report_progress))
        try:
            yield
        finally:
            self._source.reset(token)

    def check(self) -> None:
        """Report that the request advances, or raise an error if it is cancelled.

        Raises:
            Unavailable: the client disconnected.
        """
        if (source := self._source.get()) is None:
            return
        is_cancelled, report_progress = source
        report_progress()
        if is_cancelled():
            raise Unavailable("the client disconnected; the request was cancelled.")

    def checked(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Pass predictions through, and `check` after each."""
        for prediction in predictions:
            self.check()
            yield prediction
