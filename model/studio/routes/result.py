"""Requests of the view *Result*: a model, its report, suspected labels, promotions and comparisons."""

import asyncio
import dataclasses

from aiohttp import web

from model.config import TrainConfig, is_model_name
from model.curation.places import is_editable
from model.errors import ConfigError, DatasetError, ModelNotFoundError
from model.evaluation.report.policy import response_policy
from model.promotion import promote, roll_back
from model.registry import find_bundle
from model.storage.allowed_folders import restrict_paths
from model.studio.bodies import json_body
from model.studio.fields import text_of, user_of
from model.studio.keys import TASKS, WORKSPACE
from model.studio.label_review import confirm_label, suspected_labels
from model.studio.model_view import (
    comparison_page,
    dataset_name,
    dataset_of,
    describe_model,
    find_report,
    renamed_classes,
)
from model.workspace import Workspace


def add_routes(app: web.Application) -> None:
    """Add the routes of models, promotions and comparisons."""
    app.router.add_get("/api/models/{model}", _model)
    app.router.add_get("/api/models/{model}/report", _report)
    app.router.add_get("/api/models/{model}/label-issues", _label_issues)
    app.router.add_post("/api/models/{model}/label-issues/confirmed", _confirm)
    app.router.add_post("/api/models/{model}/use", _use)
    app.router.add_post("/api/promotion/undo", _undo)
    app.router.add_post("/api/comparisons", _compare)
    app.router.add_get("/api/comparisons/{base}/{new}", _comparison)


async def _model(request: web.Request) -> web.Response:
    def describe() -> dict[str, object]:
        workspace = request.app[WORKSPACE]
        return describe_model(workspace, find_bundle(workspace, request.match_info["model"]))

    return web.json_response(await asyncio.to_thread(describe))


async def _report(request: web.Request) -> web.StreamResponse:
    def find() -> web.FileResponse:
        path = find_report(find_bundle(request.app[WORKSPACE], request.match_info["model"]))
        return _framed_page(path)

    return await asyncio.to_thread(find)


async def _label_issues(request: web.Request) -> web.Response:
    def read() -> dict[str, object]:
        workspace = request.app[WORKSPACE]
        bundle = find_bundle(workspace, request.match_info["model"])
        dataset = dataset_of(workspace, bundle)
        found = suspected_labels(workspace, bundle, dataset)
        renamed = renamed_classes(bundle, dataset)
        return {
            "dataset": dataset_name(workspace, dataset),
            "editable": dataset is not None and is_editable(dataset),
            "classes": list(dict.fromkeys(renamed.get(name, name) for name in bundle.manifest.classes)),
            "issues": [dataclasses.asdict(one) for one in found],
        }

    return web.json_response(await asyncio.to_thread(read))


async def _confirm(request: web.Request) -> web.Response:
    """Record that a suspected label is correct."""
    body = await json_body(request)
    photo, label, by = text_of(body, "photo"), text_of(body, "label"), user_of(request.headers, body)

    def confirm() -> None:
        workspace = request.app[WORKSPACE]
        bundle = find_bundle(workspace, request.match_info["model"])
        dataset = dataset_of(workspace, bundle)
        if dataset is None:
            raise DatasetError(f"expected the dataset of {bundle.name}, found none: it was moved or removed")
        confirm_label(workspace, dataset, photo, label, by, bundle.name)

    await asyncio.to_thread(confirm)
    return web.json_response({})


async def _use(request: web.Request) -> web.Response:
    """Make a model `latest`, after the check of its files."""

    def use() -> None:
        workspace = request.app[WORKSPACE]
        bundle = find_bundle(workspace, request.match_info["model"])
        bundle.verify()
        promote(workspace, bundle.name)

    await asyncio.to_thread(use)
    return web.json_response({})


async def _undo(request: web.Request) -> web.Response:
    """Take back the last promotion."""
    promoted = await asyncio.to_thread(roll_back, request.app[WORKSPACE])
    return web.json_response({"promoted": promoted})


async def _compare(request: web.Request) -> web.Response:
    """Start a comparison; its end is an event."""
    body = await json_body(request)
    base, new, dataset = (text_of(body, name) for name in ("base", "new", "dataset"))
    if base == new:
        raise ConfigError(f"expected two models, received {base} twice. Choose another one").coded("same_model")
    allowed = await asyncio.to_thread(restrict_paths, TrainConfig(dataset=dataset), request.app[WORKSPACE])
    arguments = {"base": base, "new": new, "dataset": allowed.dataset}
    task = request.app[TASKS].start(f"compare/{base}/{new}", "compare", arguments)
    return web.json_response(task.to_json(), status=202)


async def _comparison(request: web.Request) -> web.StreamResponse:
    """The page of a comparison that was written before."""
    names = [request.match_info[name] for name in ("base", "new")]
    for name in names:
        if not is_model_name(name):
            raise ModelNotFoundError(f"model: expected the name of a model, received {name[:100]!r}")
    workspace: Workspace = request.app[WORKSPACE]
    path = await asyncio.to_thread(comparison_page, workspace, *names)
    return _framed_page(path)


def _framed_page(path: object) -> web.FileResponse:
    """A report or comparison: no script but its own runs, without access to the studio that shows it in a frame."""
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": response_policy("'self'")}
    return web.FileResponse(str(path), headers=headers)
