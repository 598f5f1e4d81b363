"""Requests about the tasks of the studio, of whatever view."""

from aiohttp import web

from model.studio.bodies import json_body
from model.studio.fields import text_of
from model.studio.keys import TASKS


def add_routes(app: web.Application) -> None:
    """Add the routes of tasks."""
    app.router.add_get("/api/tasks", _list)
    app.router.add_post("/api/tasks/end", _end)


async def _list(request: web.Request) -> web.Response:
    return web.json_response([task.to_json() for task in request.app[TASKS].all()])


async def _end(request: web.Request) -> web.Response:
    """Cancel a running task, or forget one that has ended."""
    request.app[TASKS].end(text_of(await json_body(request), "key"))
    return web.json_response({})
