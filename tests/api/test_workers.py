"""The worker processes of the service, without a service around them."""

import asyncio
import inspect
import os
import re
import signal
import sys
import time
import types
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from deepaas.model.v2 import wrapper

from api.errors import BadRequest, InternalError, Unavailable
from api.workers import Worker, Workers, take_over_workers
from model.errors import TrainingStoppedError


@pytest.fixture(autouse=True)
def no_pause_before_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.workers._SECONDS_BEFORE_ANOTHER", 0.0)


class Unpicklable(Exception):
    """As those of aiohttp: it cannot be made from its arguments again."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def ready() -> None:
    pass


def refuse() -> None:
    raise BadRequest("no")


def raise_unpicklable() -> None:
    raise Unpicklable("first", "second")


def return_unpicklable() -> Any:
    return lambda: None


def die(number: int) -> None:
    os.kill(os.getpid(), number)


def _with_one_worker(ask: Callable[[Workers], Awaitable[None]]) -> None:
    async def run() -> None:
        workers = Workers(1, ready)
        try:
            await asyncio.wait_for(ask(workers), 30)
        finally:
            workers.shutdown()

    asyncio.run(run())


def test_what_a_worker_returns_and_raises_comes_back() -> None:
    async def ask(workers: Workers) -> None:
        answer = await workers.apply(os.getpid)
        assert answer["output"] != os.getpid()
        # As DEEPaaS reads it.
        assert time.strptime(answer["finish_date"], "%Y-%m-%d %H:%M:%S.%f")
        with pytest.raises(BadRequest, match="no"):
            await workers.apply(refuse)
        # Neither keeps the worker from answering again, as they do with DEEPaaS's own.
        with pytest.raises(InternalError, match="second"):
            await workers.apply(raise_unpicklable)
        with pytest.raises(InternalError, match="lambda"):
            await workers.apply(return_unpicklable)
        with pytest.raises(InternalError, match="lambda"):
            await workers.apply(lambda: None)
        large = b"x" * (4 << 20)
        assert (await workers.apply(max, [large]))["output"] == large
        assert await workers.apply(os.getpid) is not None

    _with_one_worker(ask)


def test_a_worker_that_dies_is_answered_for_and_replaced(caplog: pytest.LogCaptureFixture) -> None:
    async def ask(workers: Workers) -> None:
        pid = (await workers.apply(os.getpid))["output"]
        waiting = asyncio.gather(*(workers.apply(abs, -number) for number in range(3)))
        with pytest.raises(Unavailable, match="memory"):
            await workers.apply(die, signal.SIGKILL)
        assert [answer["output"] for answer in await waiting] == [0, 1, 2]
        with pytest.raises(Unavailable, match="SIGSEGV"):
            await workers.apply(die, signal.SIGSEGV)
        idle = (await workers.apply(os.getpid))["output"]
        assert idle != pid
        os.kill(idle, signal.SIGKILL)
        # It had not begun with this: the next worker does it.
        assert (await workers.apply(abs, -1))["output"] == 1

    _with_one_worker(ask)
    assert "takes its place" in caplog.text
    assert "status None" not in caplog.text


def test_how_a_process_ended_is_known_to_all_who_ask_at_once() -> None:
    for _ in range(5):
        worker = Worker(None)
        with ThreadPoolExecutor(8) as threads:
            asked = [threads.submit(worker.how_it_ended) for _ in range(8)]
            worker.kill()
        told = {question.result() for question in asked}
        assert told == {"was killed (SIGKILL), as the system does when memory runs out"}


def test_cancelling_ends_the_process_and_is_no_cancellation_for_who_waits() -> None:
    async def ask(workers: Workers) -> None:
        pid = (await workers.apply(os.getpid))["output"]
        running = asyncio.create_task(workers.apply(time.sleep, 1000))
        queued = asyncio.create_task(workers.apply(time.sleep, 1000))
        await asyncio.sleep(0.1)
        for task in (queued, running):
            task.cancel()
            with pytest.raises(TrainingStoppedError):
                await task
        assert (await workers.apply(os.getpid))["output"] != pid

    _with_one_worker(ask)


def test_deepaas_is_as_we_know_it() -> None:
    assert set(inspect.signature(wrapper.CancellablePool.apply).parameters) == {"self", "fn", "args"}
    assert inspect.iscoroutinefunction(wrapper.CancellablePool.apply)
    assert "self._free = {self._new_pool()" in inspect.getsource(wrapper.CancellablePool.__init__)
    uses = re.findall(r"self\._executor\b(.*)", inspect.getsource(wrapper.ModelWrapper))
    assert uses == [" = self._init_executor()", ".shutdown()", ".apply(fn))"]


def test_another_deepaas_is_left_alone(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    import api

    other = types.SimpleNamespace(model_obj=api, _executor="another pool")
    monkeypatch.setitem(sys.modules, "deepaas.model", types.SimpleNamespace(V2_MODELS={"topgraft": other}))
    take_over_workers()
    assert other._executor == "another pool"
    assert "not known" in caplog.text
