"""DEEPaaS's list of trainings: bounded, without the arguments of forgotten requests."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from api.errors import ApiError
from api.training_list import MAX_FINISHED, MAX_REFUSED, MAX_UNFINISHED, limit_trainings
from model.errors import ConfigError, DatasetError, TrainingError, TrainingStoppedError
from model.received import MAX_QUOTED

LONG = "x" * 1000


class Handler:
    """Keeps trainings as DEEPaaS's handler does; a training ends with the outcome that its request names."""

    def __init__(self) -> None:
        self._trainings: dict[str, dict[str, Any]] = {}

    async def post(self, request: web.Request) -> web.Response:
        outcome = OUTCOMES[request.query["outcome"]]
        training = {"task": asyncio.ensure_future(_train(outcome)), "args": {"dataset": LONG, "epochs": 1}}
        self._trainings[str(len(self._trainings) + 1000)] = training
        await asyncio.sleep(0.001)
        return web.json_response({})

    async def index(self, _: web.Request) -> web.Response:
        return web.json_response([training["args"] for training in self._trainings.values()])


OUTCOMES: dict[str, Exception | None] = {
    "done": None,
    "busy": ConfigError("the maximum number of trainings is running"),
    "no dataset": DatasetError("no such folder"),
    "failed": TrainingError("out of memory"),
    "stopped": TrainingStoppedError("cancelled"),
    "endless": TimeoutError(),
}


async def _train(outcome: Exception | None) -> None:
    if isinstance(outcome, TimeoutError):
        await asyncio.sleep(60)
    if outcome is not None:
        raise outcome


def _with_server(use: Callable[[aiohttp.ClientSession, str], Awaitable[None]]) -> None:
    async def run() -> None:
        handler = Handler()
        application = web.Application(middlewares=[limit_trainings])
        application.router.add_post("/train/", handler.post)
        application.router.add_get("/train/", handler.index)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            async with aiohttp.ClientSession() as client:
                await use(client, f"http://127.0.0.1:{runner.addresses[0][1]}/train/")
        finally:
            await runner.cleanup()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [
        ("done", MAX_FINISHED),
        ("failed", MAX_FINISHED),
        ("stopped", MAX_FINISHED),
        ("busy", MAX_REFUSED),
        ("no dataset", MAX_REFUSED),
    ],
)
def test_only_the_last_trainings_are_listed_with_short_arguments(outcome: str, kept: int) -> None:
    async def use(client: aiohttp.ClientSession, url: str) -> None:
        for _ in range(kept + 5):
            assert (await client.post(url, params={"outcome": outcome})).status == 200
        listed = await (await client.get(url)).json()
        assert len(listed) == kept
        assert {len(training["dataset"]) for training in listed} == {MAX_QUOTED}
        assert {training["epochs"] for training in listed} == {1}

    _with_server(use)


def test_refused_requests_do_not_displace_trainings() -> None:
    async def use(client: aiohttp.ClientSession, url: str) -> None:
        for outcome in ["done"] * 5 + ["busy"] * (MAX_FINISHED + MAX_REFUSED):
            await client.post(url, params={"outcome": outcome})
        assert len(await (await client.get(url)).json()) == 5 + MAX_REFUSED

    _with_server(use)


def test_more_unfinished_trainings_are_refused_and_none_is_forgotten() -> None:
    async def use(client: aiohttp.ClientSession, url: str) -> None:
        statuses = [(await client.post(url, params={"outcome": "endless"})).status for _ in range(MAX_UNFINISHED + 2)]
        assert statuses == [200] * MAX_UNFINISHED + [503] * 2
        refused = await client.post(url, params={"outcome": "endless"})
        assert refused.headers["Retry-After"] and "at most 50" in (await refused.json())["message"]
        assert len(await (await client.get(url)).json()) == MAX_UNFINISHED

    _with_server(use)


def test_long_messages_of_errors_are_shortened() -> None:
    assert len(ApiError("x" * 1_000_000).message) == 10_000
