"""Predictions whose client goes away before the answer, in the server's own process: they are given up."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from model.errors import TrainingStoppedError

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 1.0
# As nginx writes it down; nobody receives it.
_CLIENT_CLOSED_REQUEST = 499

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def give_up_abandoned(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Cancel a prediction for which no client waits any more; `api.workers.Workers.apply` tells what that does."""
    if request.method != "POST" or not request.path.rstrip("/").endswith("/predict"):
        return await handler(request)
    answering = asyncio.ensure_future(handler(request))
    try:
        while not (await asyncio.wait({answering}, timeout=_SECONDS_BETWEEN_LOOKS))[0]:
            if _is_gone(request):
                return await _given_up(answering)
        return await answering
    finally:
        answering.cancel()


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def _given_up(answering: "asyncio.Future[web.StreamResponse]") -> web.Response:
    answering.cancel()
    with contextlib.suppress(asyncio.CancelledError, TrainingStoppedError):
        await answering
    log.info("the client hung up before it was answered: its request is given up")
    return web.Response(status=_CLIENT_CLOSED_REQUEST)
