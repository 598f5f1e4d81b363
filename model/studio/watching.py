"""Changes of the workspace by any process, reported as events to the open pages.

Trainings, models and datasets may be changed by the command line, the service or another studio. Nothing is read while
no page is connected.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from model.studio.keys import EVENTS, WORKSPACE
from model.studio.overview import overview, training_rows

SECONDS_BETWEEN_CHECKS = 0.5
CHECKS_OF_TRAININGS = 6
"""Checks of the trainings, which change fast, for each check of everything else."""

log = logging.getLogger(__name__)


async def watch(app: web.Application) -> AsyncIterator[None]:
    """Watch the workspace while the application runs."""
    task = asyncio.create_task(_watch(app))
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _watch(app: web.Application) -> None:
    workspace, events = app[WORKSPACE], app[EVENTS]
    sent: dict[str, Any] = {}

    async def report(kind: str, read: Callable[[], Any]) -> None:
        found = await asyncio.to_thread(read)
        if found != sent.get(kind):
            sent[kind] = found
            events.send(kind, found)

    number = 0
    while True:
        await asyncio.sleep(SECONDS_BETWEEN_CHECKS)
        if not events.has_pages:
            sent.clear()
            continue
        number += 1
        try:
            await report("training", lambda: training_rows(workspace))
            if number % CHECKS_OF_TRAININGS == 0:
                await report("state", lambda: overview(workspace))
        except Exception:
            log.exception("the workspace could not be watched")
