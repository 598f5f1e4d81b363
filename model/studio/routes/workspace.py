"""The workspace as a whole: its state, and the stream of events."""

import asyncio

from aiohttp import web

from model.studio.keys import EVENTS, EXPOSURE, SERVICE, WORKSPACE
from model.studio.overview import overview


def add_routes(app: web.Application) -> None:
    """Add the routes of the workspace."""
    app.router.add_get("/api/state", _state)
    app.router.add_get("/api/events", _events)


async def _state(request: web.Request) -> web.Response:
    state = await asyncio.to_thread(overview, request.app[WORKSPACE])
    service = {"address": request.app[SERVICE].address}
    return web.json_response(state | {"service": service, "exposure": request.app[EXPOSURE].to_json()})


async def _events(request: web.Request) -> web.StreamResponse:
    return await request.app[EVENTS].stream(request)
