"""Requests of the view *Training*."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web

from model.config import is_model_name
from model.errors import ConfigError
from model.received import quoted
from model.runs.cancelling import cancel
from model.runs.curves import read_curves
from model.studio.bodies import json_body
from model.studio.choices import choices
from model.studio.keys import WORKSPACE
from model.studio.overview import training_rows
from model.studio.training_options import option_groups
from model.studio.trainings import log_of, remove_training, resume_training, start_training
from model.workspace import Workspace


def add_routes(app: web.Application) -> None:
    """Add the routes of trainings."""
    app.router.add_get("/api/training-options", _options)
    app.router.add_get("/api/trainings", _list)
    app.router.add_post("/api/trainings", _start)
    app.router.add_get("/api/trainings/{name}/log", _log)
    app.router.add_get("/api/trainings/{name}/curves", _curves)
    app.router.add_post("/api/trainings/{name}/cancel", _cancel)
    app.router.add_post("/api/trainings/{name}/resume", _resume)
    app.router.add_post("/api/trainings/{name}/remove", _remove)


async def _options(request: web.Request) -> web.Response:
    dataset, workspace = request.query.get("dataset", ""), request.app[WORKSPACE]
    groups, offered = await asyncio.gather(
        asyncio.to_thread(option_groups), asyncio.to_thread(choices, workspace, dataset)
    )
    return web.json_response({"choices": offered, "groups": groups})


async def _list(request: web.Request) -> web.Response:
    return web.json_response(await asyncio.to_thread(training_rows, request.app[WORKSPACE]))


async def _start(request: web.Request) -> web.Response:
    options = await json_body(request)
    name = await asyncio.to_thread(start_training, request.app[WORKSPACE], options)
    return web.json_response({"name": name}, status=201)


async def _cancel(request: web.Request) -> web.Response:
    await _in_thread(request, cancel)
    return web.json_response({})


async def _resume(request: web.Request) -> web.Response:
    await _in_thread(request, resume_training)
    return web.json_response({})


async def _remove(request: web.Request) -> web.Response:
    await _in_thread(request, remove_training)
    return web.json_response({})


async def _log(request: web.Request) -> web.Response:
    return web.json_response({"log": await _in_thread(request, log_of)})


async def _curves(request: web.Request) -> web.Response:
    return web.json_response(await _in_thread(request, read_curves))


async def _in_thread(request: web.Request, act: Callable[[Workspace, str], Any]) -> Any:
    """Call a function with the workspace and the training that a request names.

    Raises:
        ConfigError: the name cannot be that of a training.
    """
    name = request.match_info["name"]
    if not is_model_name(name):
        raise ConfigError(f"expected the name of a training, received {quoted(name)}.")
    return await asyncio.to_thread(act, request.app[WORKSPACE], name)
