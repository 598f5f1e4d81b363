"""Bounds on DEEPaaS's list of trainings, which otherwise keeps every request to train with all its arguments."""

from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from api.errors import TryAgain
from model.errors import TrainingError
from model.received import MAX_QUOTED, quoted

MAX_UNFINISHED = 50
"""Trainings that run or wait for a worker; the server refuses more."""

MAX_FINISHED, MAX_REFUSED = 100, 20
"""Listed trainings that ended, and those refused before they started; the oldest ones are forgotten."""

Trainings = dict[str, dict[str, Any]]


@web.middleware
async def limit_trainings(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a training if too many are waiting; forget the oldest of those that have ended, and shorten arguments.

    Raises:
        TryAgain: too many trainings are running or waiting for a worker.
    """
    # DEEPaaS keeps them in the object whose methods handle the requests.
    owner = getattr(request.match_info.handler, "__self__", None)
    trainings: Trainings | None = getattr(owner, "_trainings", None)
    if trainings is None:
        return await handler(request)
    unfinished = sum(not training["task"].done() for training in trainings.values())
    if request.method == "POST" and unfinished >= MAX_UNFINISHED:
        raise TryAgain(f"expected at most {MAX_UNFINISHED} running or waiting trainings. Try again when one has ended.")
    _forget_oldest(trainings)
    try:
        return await handler(request)
    finally:
        for training in trainings.values():
            training["args"] = {name: _shortened(value) for name, value in training["args"].items()}


def _forget_oldest(trainings: Trainings) -> None:
    ended = [uuid for uuid, training in trainings.items() if training["task"].done()]
    refused = [uuid for uuid in ended if _is_refused(trainings[uuid])]
    finished = [uuid for uuid in ended if uuid not in refused]
    for uuid in (*refused[:-MAX_REFUSED], *finished[:-MAX_FINISHED]):
        del trainings[uuid]


def _is_refused(training: dict[str, Any]) -> bool:
    task = training["task"]
    error = None if task.cancelled() else task.exception()
    return error is not None and not isinstance(error, TrainingError)


def _shortened(value: Any) -> Any:
    return quoted(value) if isinstance(value, str) and len(value) > MAX_QUOTED else value
