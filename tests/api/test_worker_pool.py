"""The worker processes of the service, without a service around them."""

import asyncio
import contextlib
import functools
import gc
import inspect
import os
import re
import resource
import signal
import sys
import time
import types
import weakref
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from deepaas.model.v2 import wrapper

from api import worker_pool
from api.errors import BadRequest, InternalError, TryAgain
from api.temporary import UploadedFile
from api.worker import start_worker
from api.worker_pool import WorkerPool, install_worker_pool
from api.worker_state import CANCELLATION, MODEL_CACHE
from model.errors import TrainingStoppedError


@pytest.fixture(autouse=True)
def no_pause_before_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.worker_pool._SECONDS_BEFORE_RESTART", 0.0)


class Unpicklable(Exception):
    """An error that cannot be re-created from its arguments, as those of aiohttp."""

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


def _with_one_worker(
    ask: Callable[[WorkerPool], Awaitable[None]], cancellable: Callable[..., Any] | None = None
) -> None:
    async def run() -> None:
        workers = WorkerPool(1, ready, cancellable)
        try:
            await asyncio.wait_for(ask(workers), 60)
        finally:
            workers.shutdown()

    asyncio.run(run())


def test_an_idle_server_frees_what_refused_requests_left_in_cycles(monkeypatch: pytest.MonkeyPatch) -> None:
    class Content(list[object]):
        """The content of a request, which an error refers to."""

    async def wait(workers: WorkerPool) -> None:
        content = Content()
        content.append(content)
        left = weakref.ref(content)
        del content
        while left() is not None:
            await asyncio.sleep(0.01)

    monkeypatch.setattr(worker_pool, "_SECONDS_BETWEEN_RELEASES", 0.1)
    gc.disable()
    try:
        _with_one_worker(wait)
    finally:
        gc.enable()


def test_results_and_errors_of_a_worker_are_returned() -> None:
    async def ask(workers: WorkerPool) -> None:
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


def how_many_workers() -> int:
    return MODEL_CACHE.workers


def test_a_worker_does_not_import_the_server() -> None:
    async def ask() -> None:
        workers = WorkerPool(1, list)
        try:
            loaded = (await workers.apply(eval, "list(__import__('sys').modules)"))["output"]
        finally:
            workers.shutdown()
        assert "api" in loaded
        assert not {"deepaas", "oslo_config", "webargs", "pytest"} & set(loaded)

    asyncio.run(asyncio.wait_for(ask(), 60))


def test_a_worker_and_its_replacement_know_the_number_of_workers() -> None:
    async def run() -> None:
        workers = WorkerPool(2, ready)
        try:
            counts = await asyncio.gather(*(workers.apply(how_many_workers) for _ in range(2)))
            with pytest.raises(TryAgain):
                await workers.apply(die, signal.SIGKILL)
            counts += await asyncio.gather(*(workers.apply(how_many_workers) for _ in range(4)))
            assert [answer["output"] for answer in counts] == [2] * 6
        finally:
            workers.shutdown()

    asyncio.run(run())


def test_a_dead_worker_is_replaced_and_its_request_gets_an_error(caplog: pytest.LogCaptureFixture) -> None:
    async def ask(workers: WorkerPool) -> None:
        pid = (await workers.apply(os.getpid))["output"]
        waiting = asyncio.gather(*(workers.apply(abs, -number) for number in range(3)))
        with pytest.raises(TryAgain, match="memory"):
            await workers.apply(die, signal.SIGKILL)
        assert [answer["output"] for answer in await waiting] == [0, 1, 2]
        with pytest.raises(TryAgain, match="SIGSEGV"):
            await workers.apply(die, signal.SIGSEGV)
        idle = (await workers.apply(os.getpid))["output"]
        assert idle != pid
        os.kill(idle, signal.SIGKILL)
        # It had not begun with this: the next worker does it.
        assert (await workers.apply(abs, -1))["output"] == 1

    _with_one_worker(ask)
    assert "starting a new one" in caplog.text
    assert "status None" not in caplog.text


def warm_for_long() -> None:
    time.sleep(4)


def test_a_starting_worker_takes_no_request_that_another_can_answer() -> None:
    async def ask() -> None:
        workers = WorkerPool(2, warm_for_long)
        try:
            answers = await asyncio.gather(*(workers.apply(time.sleep, 0.5) for _ in range(2)))
            assert len(answers) == 2
            with pytest.raises(TryAgain):
                await workers.apply(die, signal.SIGKILL)
            await asyncio.sleep(0.3)
            started = time.monotonic()
            for _ in range(4):
                await workers.apply(os.getpid)
            assert time.monotonic() - started < 3
        finally:
            workers.shutdown()

    asyncio.run(asyncio.wait_for(ask(), 30))


def test_the_exit_status_of_a_process_is_reported_to_all_who_ask() -> None:
    async def ask() -> None:
        worker = start_worker(None)
        ends: list[str] = []
        for _ in range(8):
            worker.when_exited(ends.append)
        worker.kill()
        while len(ends) < 8:
            await asyncio.sleep(0.01)
        assert set(ends) == {"was killed (SIGKILL), as the system does when memory runs out"}

    for _ in range(5):
        asyncio.run(ask())


def test_cancelling_ends_the_process_and_raises_an_error_in_the_caller() -> None:
    async def ask(workers: WorkerPool) -> None:
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


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """Simulate the limit of open files: no file can be opened and no process started."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_worker_that_fails_to_start_is_retried(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.worker_pool._SECONDS_BEFORE_RESTART", 0.05)

    async def ask(workers: WorkerPool) -> None:
        pid = (await workers.apply(os.getpid))["output"]
        with no_more_files():
            os.kill(pid, signal.SIGKILL)
            waiting = asyncio.create_task(workers.apply(abs, -1))
            while caplog.text.count("cannot be started") < 2:
                await asyncio.sleep(0.05)
            assert not waiting.done()
        assert (await waiting)["output"] == 1

    _with_one_worker(ask)
    assert "Too many open files" in caplog.text


def test_cancellation_is_reported_even_if_no_worker_can_be_started() -> None:
    async def ask(workers: WorkerPool) -> None:
        pid = (await workers.apply(os.getpid))["output"]
        running = asyncio.create_task(workers.apply(time.sleep, 1000))
        await asyncio.sleep(0.1)
        with no_more_files():
            running.cancel()
            with pytest.raises(TrainingStoppedError):
                await running
        assert (await workers.apply(os.getpid))["output"] != pid

    _with_one_worker(ask)


def count_until_cancelled(marks: Path, upload: Any = None) -> None:
    with open(marks, "ab", buffering=0) as stream:
        while True:
            stream.write(b".")
            CANCELLATION.check()
            time.sleep(0.01)


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def _grows(path: Path) -> None:
    before = _length(path)
    while _length(path) == before:
        await asyncio.sleep(0.01)


def test_a_cancelled_call_that_checks_for_it_stops_and_queued_ones_never_start(
    tmp_path: Path,
) -> None:
    begun, never_begun = tmp_path / "begun", tmp_path / "never begun"
    sent = tmp_path / "sent"
    sent.touch()
    upload = wrapper.UploadedFile("image", str(sent))

    async def ask(workers: WorkerPool) -> None:
        pid = (await workers.apply(os.getpid))["output"]
        running = asyncio.create_task(workers.apply(functools.partial(count_until_cancelled, begun)))
        await _grows(begun)
        queued = asyncio.create_task(
            workers.apply(functools.partial(count_until_cancelled, never_begun, upload=upload))
        )
        await asyncio.sleep(0.05)
        assert sent.exists()
        for task in (queued, running):
            task.cancel()
            with pytest.raises(TrainingStoppedError):
                await task
        assert not sent.exists()
        assert (await workers.apply(os.getpid))["output"] == pid
        written = _length(begun)
        # The last one cancelled was another: this is not stopped by it.
        again = asyncio.create_task(workers.apply(functools.partial(count_until_cancelled, begun)))
        await _grows(begun)
        await _grows(begun)
        assert not again.done() and _length(begun) > written
        again.cancel()
        with pytest.raises(TrainingStoppedError):
            await again

    _with_one_worker(ask, cancellable=count_until_cancelled)
    assert not never_begun.exists()


def answer_soon(number: int) -> int:
    CANCELLATION.check()
    return number


def test_clients_that_leave_when_they_are_answered_cost_no_other_its_answer() -> None:
    async def ask(workers: WorkerPool) -> None:
        pid = (await workers.apply(os.getpid))["output"]
        for position in range(100):
            leaving, *staying = [
                asyncio.create_task(workers.apply(functools.partial(answer_soon, number))) for number in range(4)
            ]
            await asyncio.sleep(0.0001 * (position % 20))  # from before its start until after its answer
            leaving.cancel()
            assert [answer["output"] for answer in await asyncio.gather(*staying)] == [1, 2, 3]
            await asyncio.wait([leaving])
            assert leaving.cancelled() or isinstance(leaving.exception(), TrainingStoppedError | None)
        assert (await workers.apply(os.getpid))["output"] == pid

    _with_one_worker(ask, cancellable=answer_soon)


def test_queued_requests_are_refused_at_shutdown_and_leave_no_upload(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("waiting", "never started")]
    for path in paths:
        path.touch()
    waiting, never_started = (functools.partial(abs, upload=wrapper.UploadedFile("image", str(path))) for path in paths)

    async def ask(workers: WorkerPool) -> None:
        await workers.apply(os.getpid)
        running = asyncio.create_task(workers.apply(time.sleep, 0.5))
        await asyncio.sleep(0.05)
        refused = asyncio.create_task(workers.apply(waiting))
        await asyncio.sleep(0.05)
        await workers.refuse_waiting(web.Application())
        with pytest.raises(TryAgain, match="is stopping"):
            await refused
        assert not paths[0].exists()
        assert (await running)["output"] is None
        workers.apply(never_started).close()
        workers.shutdown()
        assert not paths[1].exists()

    _with_one_worker(ask)


def test_the_patched_parts_of_deepaas_are_unchanged() -> None:
    assert set(inspect.signature(wrapper.CancellablePool.apply).parameters) == {"self", "fn", "args"}
    assert inspect.iscoroutinefunction(wrapper.CancellablePool.apply)
    assert "self._free = {self._new_pool()" in inspect.getsource(wrapper.CancellablePool.__init__)
    assert isinstance(inspect.getattr_static(wrapper.ModelWrapper, "predict_wrap"), staticmethod)
    taken = re.search(r"UploadedFile\((.*?)\)", inspect.getsource(wrapper.ModelWrapper.predict), re.DOTALL)
    assert taken is not None
    assert re.findall(r"(\w+)=", taken[1]) == ["name", "filename", "content_type", "original_filename"]
    assert UploadedFile._fields == wrapper.UploadedFile._fields
    assert "self.predict_wrap, self.model_obj.predict" in inspect.getsource(wrapper.ModelWrapper.predict)
    assert "isinstance(val, web.FileField)" in inspect.getsource(wrapper.ModelWrapper.predict)
    uses = re.findall(r"self\._executor\b(.*)", inspect.getsource(wrapper.ModelWrapper))
    assert uses == [" = self._init_executor()", ".shutdown()", ".apply(fn))"]


def test_an_unknown_deepaas_version_is_not_patched(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import api

    other = types.SimpleNamespace(model_obj=api, _executor="another pool")
    monkeypatch.setitem(sys.modules, "deepaas.model", types.SimpleNamespace(V2_MODELS={"topgraft": other}))
    install_worker_pool()
    assert other._executor == "another pool"
    assert "unknown version" in caplog.text
