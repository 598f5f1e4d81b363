"""Requests of the view *Photos*: datasets, their photos, and changes of them."""

import asyncio
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aiohttp import web

from model.curation import changes, journal, thumbnails
from model.curation.history import history
from model.curation.places import checked_photo
from model.curation.plans import change_from_json
from model.errors import ConfigError
from model.received import quoted
from model.resources import available_processors
from model.shown import printable
from model.storage.places import is_remote
from model.studio.bodies import json_body
from model.studio.datasets import (
    WATCHED,
    WatchedDatasets,
    contents,
    description,
    find_dataset,
    requested_dataset,
    watch_datasets,
)
from model.studio.fields import number_of, user_of
from model.studio.keys import EVENTS, TASKS, WORKSPACE
from model.studio.overview import dataset_folders, dataset_row

MAX_LISTED = 200_000
MAX_CHANGES = 100

_MAX_BODY_BYTES = 32 * 1024**2
_THUMBNAILS = web.AppKey("thumbnails", ThreadPoolExecutor)


def add_routes(app: web.Application) -> None:
    """Add the routes of datasets."""
    app[WATCHED] = WatchedDatasets(app[WORKSPACE], app[EVENTS])
    # Other requests do not wait for the previews of a thousand photos.
    app[_THUMBNAILS] = ThreadPoolExecutor(available_processors(), "thumbnails")
    app.cleanup_ctx.append(watch_datasets)
    path = "/api/datasets/{dataset}"
    app.router.add_get("/api/datasets", _list)
    app.router.add_post("/api/datasets", _create)
    app.router.add_get(path, _describe)
    app.router.add_get(f"{path}/photos", _photos)
    app.router.add_get(f"{path}/thumbnail", _thumbnail)
    app.router.add_get(f"{path}/photo", _preview)
    app.router.add_get(f"{path}/changes", _changes)
    app.router.add_post(f"{path}/changes", _change)
    app.router.add_post(f"{path}/undo", _undo)
    app.router.add_get(f"{path}/check", _check)
    app.router.add_post(f"{path}/imports", _import)


async def _list(request: web.Request) -> web.Response:
    def rows() -> list[dict[str, Any]]:
        return [dataset_row(path) for path in dataset_folders(request.app[WORKSPACE])]

    return web.json_response(await asyncio.to_thread(rows))


async def _create(request: web.Request) -> web.Response:
    name = _text(await json_body(request), "name")
    dataset = await asyncio.to_thread(changes.create_dataset, request.app[WORKSPACE].data, name)
    return web.json_response({"name": dataset.name}, status=201)


async def _describe(request: web.Request) -> web.Response:
    dataset = requested_dataset(request)
    return web.json_response(await asyncio.to_thread(description, dataset))


async def _photos(request: web.Request) -> web.Response:
    """Paths of the photos of a class; of unlabelled or removed ones with `kind`."""
    dataset = requested_dataset(request)
    offset, limit = number_of(request.query, "offset"), min(number_of(request.query, "limit", MAX_LISTED), MAX_LISTED)
    content = await asyncio.to_thread(contents, dataset)
    kinds = {"unlabelled": content.unlabelled, "removed": content.removed}
    photos = kinds.get(request.query.get("kind", ""), content.classes.get(request.query.get("class", ""), []))
    return web.json_response({"total": len(photos), "photos": photos[offset : offset + limit]})


async def _thumbnail(request: web.Request) -> web.Response:
    return await _image(request, thumbnails.thumbnail)


async def _preview(request: web.Request) -> web.Response:
    return await _image(request, thumbnails.preview)


async def _image(request: web.Request, draw: Any) -> web.Response:
    dataset = find_dataset(request.app[WORKSPACE], request.match_info["dataset"])
    path = checked_photo(dataset, request.query.get("photo", ""))
    status = path.stat()
    tag = f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag})
    content = await asyncio.get_running_loop().run_in_executor(request.app[_THUMBNAILS], draw, path)
    return web.Response(body=content, content_type="image/jpeg", headers={"ETag": tag})


async def _changes(request: web.Request) -> web.Response:
    """Changes of a dataset, the last one first, at most `MAX_CHANGES` at a time."""
    dataset = requested_dataset(request)
    offset, limit = number_of(request.query, "offset"), min(number_of(request.query, "limit", MAX_CHANGES), MAX_CHANGES)
    lines, total = await asyncio.to_thread(history, dataset, offset, limit)
    return web.json_response({"total": total, "changes": [dataclasses.asdict(line) for line in lines]})


async def _change(request: web.Request) -> web.Response:
    dataset = requested_dataset(request)
    requested = change_from_json(await json_body(request, _MAX_BODY_BYTES))
    return await _applied(request, changes.change, dataset, requested, user_of(request.headers))


async def _undo(request: web.Request) -> web.Response:
    number = number_of(request.query, "number") or None
    return await _applied(request, changes.undo, requested_dataset(request), user_of(request.headers), number)


async def _import(request: web.Request) -> web.Response:
    """Copy a dataset of `data/`, or `remote:path`, into this one, by a task: it may take long."""
    dataset = requested_dataset(request)
    source = _text(await json_body(request), "source")
    workspace = request.app[WORKSPACE]
    if not is_remote(source) and (workspace.data / source).resolve() == dataset.resolve():
        raise ConfigError(f"expected another dataset to import, received {quoted(source)} itself").coded(
            "import_itself"
        )
    if not is_remote(source) and not _is_below(workspace.data / source, workspace.data):
        raise ConfigError(f"expected a dataset in {workspace.data}, or remote:path, received {quoted(source)}").coded(
            "import_elsewhere", name=printable(source)
        )
    await asyncio.to_thread(changes.check_editable, dataset)
    after = len(await asyncio.to_thread(journal.entries, dataset))
    arguments = {"dataset": dataset.name, "source": source, "by": user_of(request.headers), "after": after}
    task = request.app[TASKS].start(f"import/{dataset.name}/{source}", "import", arguments)
    return web.json_response(task.to_json(), status=202)


async def _check(request: web.Request) -> web.Response:
    dataset = requested_dataset(request)
    return web.json_response({"name": dataset.name, "verdict": request.app[WATCHED].verdict(dataset.name)})


async def _applied(request: web.Request, work: Any, *arguments: Any) -> web.Response:
    applied: changes.Applied = await asyncio.to_thread(work, *arguments)
    request.app[WATCHED].changed()
    return web.json_response(applied.to_json())


def _is_below(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve()) and path.resolve() != folder.resolve()


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise ConfigError(f"expected {name} as a text, received {quoted(value)}")
    return value
