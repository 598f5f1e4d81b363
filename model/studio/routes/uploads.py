"""Uploads of the view *Photos*: a plan, then the contents of its files in any number of requests."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

from aiohttp import web

from model import environment
from model.curation.upload_plan import parse_plan
from model.curation.uploads import (
    Progress,
    Receiver,
    cancel,
    open_upload,
    progress,
    receive,
    settle,
    unfinished,
)
from model.errors import ConfigError
from model.received import quoted
from model.studio.bodies import read_body
from model.studio.datasets import WATCHED, requested_dataset
from model.studio.fields import number_of, user_of

MAX_PLAN_BYTES = 64 * 1024**2
MAX_LISTED = 8
"""Refused files that the progress of an upload lists; all are counted, and are sent on request."""
MAX_REFUSED = 500
"""Refused files that an answer to such a request lists."""

_BLOCK = 1 << 20
_CONTENT_TYPE = "application/octet-stream"


def add_routes(app: web.Application) -> None:
    """Add the routes of uploads."""
    path = "/api/datasets/{dataset}/uploads"
    app.router.add_get(path, _list)
    app.router.add_post(path, _open)
    app.router.add_get(f"{path}/{{upload}}", _progress)
    app.router.add_put(f"{path}/{{upload}}", _receive)
    app.router.add_delete(f"{path}/{{upload}}", _cancel)
    app.router.add_get(f"{path}/{{upload}}/refused", _refused)


async def _list(request: web.Request) -> web.Response:
    found = await asyncio.to_thread(unfinished, requested_dataset(request))
    return web.json_response([_shown(one) for one in found])


async def _open(request: web.Request) -> web.Response:
    dataset = requested_dataset(request)
    if request.content_type != "application/json":
        raise ConfigError(f"expected a plan of type application/json, received {quoted(request.content_type)}")
    plan = parse_plan(await read_body(request, MAX_PLAN_BYTES))
    limit = environment.STUDIO_MAX_BYTES.read()
    begun = await asyncio.to_thread(
        open_upload, dataset, plan, limit, request.query.get("upload", ""), user_of(request.headers)
    )
    request.app[WATCHED].changed()
    return web.json_response(_shown(begun))


async def _progress(request: web.Request) -> web.Response:
    found = await asyncio.to_thread(progress, requested_dataset(request), request.match_info["upload"])
    return web.json_response(_shown(found))


async def _refused(request: web.Request) -> web.Response:
    """Refused files of an upload from `offset` on, each with its reason."""
    found = await asyncio.to_thread(progress, requested_dataset(request), request.match_info["upload"])
    offset = number_of(request.query, "offset")
    rows = [dataclasses.asdict(one) for one in found.refused[offset : offset + MAX_REFUSED]]
    return web.json_response({"total": len(found.refused), "refused": rows})


async def _receive(request: web.Request) -> web.Response:
    """Receive contents; what came before a broken connection is kept, and whole photos are put into the dataset."""
    if request.content_type != _CONTENT_TYPE:
        raise ConfigError(f"expected contents of type {_CONTENT_TYPE}, received {quoted(request.content_type)}")
    dataset, upload = requested_dataset(request), request.match_info["upload"]
    first, offset = _number(request, "first"), _number(request, "offset")
    receiver = await asyncio.to_thread(receive, dataset, upload, first, offset)
    try:
        await _write(request, receiver)
    finally:
        # Also if the client has gone, which cancels this task.
        await asyncio.shield(asyncio.to_thread(_end, dataset, upload, receiver, user_of(request.headers)))
        request.app[WATCHED].changed()
    return web.json_response(_shown(await asyncio.to_thread(progress, dataset, upload)))


async def _write(request: web.Request, receiver: Receiver) -> None:
    block = bytearray()
    try:
        async for received in request.content.iter_any():
            block += received
            if len(block) >= _BLOCK:
                full, block = block, bytearray()
                await _in_thread(receiver, bytes(full))
    finally:
        # Also what came just before the connection broke.
        await _in_thread(receiver, bytes(block))


async def _in_thread(receiver: Receiver, block: bytes) -> None:
    """Write a block, to its end even if the client goes meanwhile."""
    writing = asyncio.ensure_future(asyncio.to_thread(receiver.write, block))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await writing
        raise


def _end(dataset: Path, upload: str, receiver: Receiver, by: str) -> None:
    positions: Collection[int] = receiver.close()
    settle(dataset, upload, positions, environment.STUDIO_MAX_BYTES.read(), by)


async def _cancel(request: web.Request) -> web.Response:
    await asyncio.to_thread(cancel, requested_dataset(request), request.match_info["upload"])
    request.app[WATCHED].changed()
    return web.json_response({})


def _number(request: web.Request, name: str) -> int:
    """Number in the query; -1, which no upload accepts, for anything else."""
    value = request.query.get(name, "")
    return int(value) if value.isdecimal() and len(value) <= 18 else -1


def _shown(found: Progress) -> dict[str, Any]:
    listed = dataclasses.replace(found, refused=found.refused[:MAX_LISTED])
    return listed.to_json() | {"refusals": len(found.refused)}
