"""Requests of the view *Share*: downloads, programs, and publishing."""

import asyncio
import dataclasses
from typing import Any

from aiohttp import web

from model.bundle import Bundle
from model.errors import ConfigError, ModelError, StorageError
from model.publishing.record import publication_folder, read_record
from model.received import quoted
from model.registry import find_bundle
from model.storage.settings import remote_names
from model.studio.bodies import json_body
from model.studio.fields import text_of
from model.studio.files import FORMATS, download_path, remove_old_downloads
from model.studio.keys import SERVICE, TASKS, WORKSPACE
from model.studio.snippets import snippets
from model.studio.tasks import Task

_FIELDS = ("to", "title", "author", "license", "summary", "expires")


def add_routes(app: web.Application) -> None:
    """Add the routes of downloads, programs and publications."""
    app.router.add_get("/api/models/{model}/downloads", _downloads)
    app.router.add_post("/api/models/{model}/download/{format}", _make_download)
    app.router.add_get("/api/models/{model}/download/{format}", _download)
    app.router.add_get("/api/models/{model}/snippets", _snippets)
    app.router.add_get("/api/models/{model}/publication", _publication)
    app.router.add_post("/api/models/{model}/publication/plan", _plan)
    app.router.add_post("/api/models/{model}/publication", _publish)


async def _downloads(request: web.Request) -> web.Response:
    """The formats, each with its size if its file is ready, and its task."""
    bundle = await _bundle(request)

    def rows() -> list[dict[str, Any]]:
        paths = {form: download_path(request.app[WORKSPACE], bundle, form) for form in FORMATS}
        tasks = {form: request.app[TASKS].find(_download_key(bundle, form)) for form in FORMATS}
        return [
            {
                "format": form,
                "file": path.name,
                "bytes": path.stat().st_size if path.is_file() else None,
                "task": _json(tasks[form]),
            }
            for form, path in paths.items()
        ]

    return web.json_response({"precision": bundle.manifest.precision, "formats": await asyncio.to_thread(rows)})


async def _make_download(request: web.Request) -> web.Response:
    bundle, form = await _bundle(request), _format(request)
    await asyncio.to_thread(remove_old_downloads, request.app[WORKSPACE], bundle)
    arguments = {"model": bundle.name, "form": form}
    task = request.app[TASKS].start(_download_key(bundle, form), "download", arguments)
    return web.json_response(task.to_json(), status=202)


async def _download(request: web.Request) -> web.StreamResponse:
    bundle = await _bundle(request)
    path = download_path(request.app[WORKSPACE], bundle, _format(request))
    if not await asyncio.to_thread(path.is_file):
        raise ModelError(f"{bundle.name}: expected a download that is ready, found none. Prepare it first")
    headers = {"Content-Disposition": f'attachment; filename="{path.name}"'}
    return web.FileResponse(path, headers=headers)


async def _snippets(request: web.Request) -> web.Response:
    bundle = await _bundle(request)
    return web.json_response(snippets(request.app[SERVICE].address, bundle.name))


async def _publication(request: web.Request) -> web.Response:
    """Names of the configured remotes, and the link of this model if it was published."""
    bundle = await _bundle(request)

    def read() -> dict[str, Any]:
        try:
            remotes, problem = remote_names(), ""
        except StorageError as error:
            remotes, problem = [], error.message
        record = read_record(publication_folder(request.app[WORKSPACE], bundle.name))
        return {"remotes": remotes, "problem": problem, "published": record and dataclasses.asdict(record)}

    answer = await asyncio.to_thread(read)
    tasks = {name: _json(request.app[TASKS].find(f"{name}/{bundle.name}")) for name in ("plan", "publish")}
    return web.json_response(answer | tasks)


async def _plan(request: web.Request) -> web.Response:
    """Check the options, and list the steps of publishing."""
    return await _start(request, "plan")


async def _publish(request: web.Request) -> web.Response:
    return await _start(request, "publish")


async def _start(request: web.Request, name: str) -> web.Response:
    bundle, body = await _bundle(request), await json_body(request)
    if unknown := sorted(set(body) - set(_FIELDS)):
        raise ConfigError(f"expected only {', '.join(_FIELDS)}, received {quoted(unknown[0])}")
    text_of(body, "to")
    options = {field: text_of(body, field, required=False) for field in _FIELDS}
    task = request.app[TASKS].start(f"{name}/{bundle.name}", name, {"model": bundle.name, "options": options})
    return web.json_response(task.to_json(), status=202)


async def _bundle(request: web.Request) -> Bundle:
    return await asyncio.to_thread(find_bundle, request.app[WORKSPACE], request.match_info["model"])


def _format(request: web.Request) -> str:
    form = request.match_info["format"]
    if form not in FORMATS:
        raise ConfigError(f"format: expected one of {', '.join(FORMATS)}, received {quoted(form)}")
    return form


def _download_key(bundle: Bundle, form: str) -> str:
    return f"download/{bundle.name}/{form}"


def _json(task: Task | None) -> dict[str, Any] | None:
    return None if task is None else task.to_json()
