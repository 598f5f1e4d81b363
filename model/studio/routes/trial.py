"""Requests of the view *Try it*: predictions, corrections, and photos without a label in the order to sort them."""

import asyncio
import dataclasses
from pathlib import Path

from aiohttp import web

from model import environment
from model.config import LATEST
from model.curation.changes import add_photo, relabel
from model.curation.places import checked_photo, class_names, class_of
from model.curation.renames import todays_classes
from model.curation.space import check_space
from model.curation.thumbnails import thumbnail
from model.curation.uploads import bytes_to_come
from model.errors import ConfigError, ModelError
from model.page.forwarding import (
    CHUNK_BYTES,
    as_response,
    forward_metadata,
    forward_prediction,
    image_problem,
    plain_name,
)
from model.registry import find_bundle
from model.scratch import scratch_folder
from model.studio.bodies import json_body
from model.studio.datasets import WATCHED, contents, find_dataset, requested_dataset
from model.studio.fields import number_of, text_of, user_of
from model.studio.files import predictions_path
from model.studio.keys import SERVICE, TASKS, WORKSPACE
from model.studio.sorting import SortingQueue, read_predictions, sorting_queue
from model.workspace import Workspace

MAX_LISTED = 200
"""Photos without a label that an answer lists."""


def add_routes(app: web.Application) -> None:
    """Add the routes of predictions, corrections and sorting."""
    app.router.add_get("/api/model", _models)
    app.router.add_post("/api/predict", _predict)
    app.router.add_post("/api/corrections", _correct)
    app.router.add_get("/api/datasets/{dataset}/unlabelled", _unlabelled)
    app.router.add_post("/api/datasets/{dataset}/unlabelled/predictions", _predict_unlabelled)


async def _models(request: web.Request) -> web.Response:
    return await forward_metadata(request.app[SERVICE])


async def _predict(request: web.Request) -> web.Response:
    return await forward_prediction(request, request.app[SERVICE])


async def _correct(request: web.Request) -> web.Response:
    """Give a photo its class: one of the dataset (JSON), or a new one (its content, and the rest in the query)."""
    if request.content_type == "application/json":
        body = await json_body(request)
        photo, names = text_of(body, "photo"), {name: text_of(body, name) for name in ("dataset", "class", "model")}
        answer = text_of(body, "answer", required=False)
        dataset = await asyncio.to_thread(find_dataset, request.app[WORKSPACE], names["dataset"])
        label = await asyncio.to_thread(_todays_class, request.app[WORKSPACE], dataset, names["model"], names["class"])
        answer = await asyncio.to_thread(_todays_class, request.app[WORKSPACE], dataset, names["model"], answer)
        applied = await asyncio.to_thread(
            relabel, dataset, photo, label, user_of(request.headers, body), names["model"], answer
        )
        request.app[WATCHED].changed()
        return web.json_response(applied.to_json() | {"class": label})
    if problem := image_problem(request):
        return as_response(problem)
    return await _add(request)


async def _add(request: web.Request) -> web.Response:
    query = {name: request.query.get(name, "") for name in ("dataset", "class", "model", "name", "by", "answer")}
    if not query["class"]:
        raise ConfigError("class: expected the class of the photo, received nothing").coded("class_missing")
    dataset = await asyncio.to_thread(find_dataset, request.app[WORKSPACE], query["dataset"])
    with scratch_folder("studio") as folder:
        received = folder / "photo"
        with open(received, "wb") as stream:
            async for chunk in request.content.iter_chunked(CHUNK_BYTES):
                await asyncio.to_thread(stream.write, chunk)
        await asyncio.to_thread(thumbnail, received)  # raises ImageError for a file that is no photo
        size, limit = received.stat().st_size, environment.STUDIO_MAX_BYTES.read()
        await asyncio.to_thread(lambda: check_space(dataset, size, limit, bytes_to_come(dataset.parent)))
        name = plain_name(query["name"])
        label = await asyncio.to_thread(_todays_class, request.app[WORKSPACE], dataset, query["model"], query["class"])
        by, answer = user_of(request.headers, query), text_of(query, "answer", required=False)
        answer = await asyncio.to_thread(_todays_class, request.app[WORKSPACE], dataset, query["model"], answer)
        applied = await asyncio.to_thread(add_photo, dataset, label, received, by, query["model"], name, answer)
    request.app[WATCHED].changed()
    before = sorted({class_of(photo) for photo in applied.same} - {""})
    return web.json_response(
        applied.to_json() | {"class": label, "before": before}, status=200 if applied.same else 201
    )


def _todays_class(workspace: Workspace, dataset: Path, model: str, label: str) -> str:
    """Name that a class of a model has in the dataset today; a class that exists keeps its name."""
    if not model or not label or label in class_names(dataset):
        return label
    try:
        bundle = find_bundle(workspace, model)
    except ModelError:
        # It may have been deleted while the page was open.
        return label
    return todays_classes(dataset, bundle.manifest.created, [label]).get(label, label)


async def _unlabelled(request: web.Request) -> web.Response:
    """Photos without a label, the least certain first, as far as there are predictions by `model`; from `offset` on."""
    dataset, offset = requested_dataset(request), number_of(request.query, "offset")
    queue, task = await asyncio.to_thread(_queue, request.app[WORKSPACE], dataset, request.query.get("model", LATEST))
    running = request.app[TASKS].find(task)
    return web.json_response(
        {
            "total": len(queue.photos),
            "predicted": queue.predicted,
            "photos": [dataclasses.asdict(one) for one in queue.photos[offset : offset + MAX_LISTED]],
            "task": running and running.to_json(),
        }
    )


def _queue(workspace: Workspace, dataset: Path, model: str) -> tuple[SortingQueue, str]:
    photos = contents(dataset).unlabelled
    try:
        bundle = find_bundle(workspace, model)
    except ModelError:
        # Without a model, photos are sorted in the order of their names.
        return sorting_queue(workspace, None, dataset, photos), ""
    return sorting_queue(workspace, bundle, dataset, photos), _task_key(dataset, bundle.name)


async def _predict_unlabelled(request: web.Request) -> web.Response:
    """Predict the photos that have no prediction yet, in the background."""
    model = text_of(await json_body(request), "model")
    dataset = requested_dataset(request)

    def missing() -> tuple[str, str, list[tuple[str, str]]]:
        bundle = find_bundle(request.app[WORKSPACE], model)
        output = predictions_path(request.app[WORKSPACE], bundle, dataset.name)
        known = read_predictions(output)
        photos = [name for name in contents(dataset).unlabelled if name not in known]
        return bundle.name, str(output), [(name, str(checked_photo(dataset, name))) for name in photos]

    name, output, photos = await asyncio.to_thread(missing)
    if not photos:
        return web.json_response(None)
    arguments = {"model": name, "photos": photos, "output": output}
    task = request.app[TASKS].start(_task_key(dataset, name), "predict", arguments)
    return web.json_response(task.to_json(), status=202)


def _task_key(dataset: Path, model: str) -> str:
    return f"predict/{dataset.name}/{model}"
