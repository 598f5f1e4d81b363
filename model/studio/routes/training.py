"""Requests of the view *Training*."""

import asyncio

from aiohttp import web

from model.runs.cancelling import cancel
from model.studio.bodies import json_body
from model.studio.keys import WORKSPACE
from model.studio.overview import training_rows
from model.studio.trainings import remove_training, resume_training, start_training


def add_routes(app: web.Application) -> None:
    """Add the routes of trainings."""
    app.router.add_get("/api/trainings", _list)
    app.router.add_post("/api/trainings", _start)
    app.router.add_post("/api/trainings/{name}/cancel", _cancel)
    app.router.add_post("/api/trainings/{name}/resume", _resume)
    app.router.add_post("/api/trainings/{name}/remove", _remove)


async def _list(request: web.Request) -> web.Response:
    return web.json_response(await asyncio.to_thread(training_rows, request.app[WORKSPACE]))


async def _start(request: web.Request) -> web.Response:
    options = await json_body(request)
    name = await asyncio.to_thread(start_training, request.app[WORKSPACE], options)
    return web.json_response({"name": name}, status=201)


async def _cancel(request: web.Request) -> web.Response:
    await asyncio.to_thread(cancel, request.app[WORKSPACE], request.match_info["name"])
    return web.json_response({})


async def _resume(request: web.Request) -> web.Response:
    await asyncio.to_thread(resume_training, request.app[WORKSPACE], request.match_info["name"])
    return web.json_response({})


async def _remove(request: web.Request) -> web.Response:
    await asyncio.to_thread(remove_training, request.app[WORKSPACE], request.match_info["name"])
    return web.json_response({})
