"""The worker processes of the service: one that dies is replaced, and its request is answered.

DEEPaaS has a `multiprocessing.Pool` of one process for each worker. If that is killed, the pool starts another but
never tells of the answer it lost; and a process killed while it waits for work takes the pool's lock with it. Either
way requests hang for ever. Here each worker has a pipe of its own, which ends with it.
"""

import asyncio
import atexit
import contextlib
import functools
import logging
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from api.errors import TryAgain
from api.temporary import handing_on
from api.worker_process import Warm, Worker, WorkerDied, WorkerDiedIdle
from model.errors import TrainingStoppedError

log = logging.getLogger(__name__)

# If that dies as well, as where memory is short, the machine is not to be kept busy with starting others.
_SECONDS_BEFORE_ANOTHER = 1.0
# How often something is asked anew that no process has begun with.
_ATTEMPTS = 3

Function = Callable[..., Any]


class Workers:
    """Takes the place of DEEPaaS's `CancellablePool`, with the same two methods.

    Args:
        count: how many processes.
        warm: what each process calls first. DEEPaaS asks for it too, as often as there are processes, but not each.
        stoppable: the function that looks whether its answer is still wanted (`StillWanted`), as the `func` of a
            partial; None where there is none.
    """

    def __init__(self, count: int, warm: Warm, stoppable: Function | None = None) -> None:
        self._count = count
        self._warm = warm
        self._stoppable = stoppable
        self._loop = asyncio.get_running_loop()
        self._alive: set[Worker] = set()
        self._free: asyncio.Queue[Worker] = asyncio.Queue()
        self._waiting: set[asyncio.Task[Any] | None] = set()
        self._uploads: set[Path] = set()
        self._stopping = False
        self._closed = False
        for _ in range(count):
            self._start()
        # A server that ends before it serves cleans up nothing, and would wait for its processes for ever.
        atexit.register(self.shutdown)

    def apply(self, function: Function, *arguments: Any) -> Coroutine[Any, Any, dict[str, Any]]:
        """Call it in a free process. When cancelled: what no process has begun with never begins, what is `stoppable`
        is told to stop, and for all else the process is ended. Uploads among its arguments are deleted at the end.

        Returns:
            `output`, and `finish_date` as DEEPaaS reads it.

        Raises:
            TryAgain: the process died, the service is being stopped, or there is no room for another thread.
            TrainingStoppedError: this was cancelled; DEEPaaS would make a 500 of the cancellation itself.
        """
        # At once: a task that is cancelled before its first step does nothing at all.
        uploads = _uploads(function)
        self._uploads |= uploads
        return self._apply(function, arguments, uploads)

    async def refuse_waiting(self, _: web.Application) -> None:
        """Answer those for whom no process is free, now and from now on, that the service is being stopped."""
        self._stopping = True
        for task in self._waiting:
            if task is not None:
                task.cancel()

    def shutdown(self) -> None:
        """End all processes, and delete uploads that none has taken."""
        self._closed = True
        atexit.unregister(self.shutdown)
        for worker in self._alive:
            worker.terminate()
        self._delete(self._uploads.copy())

    async def _apply(self, function: Function, arguments: tuple[Any, ...], uploads: set[Path]) -> dict[str, Any]:
        try:
            output = await self._answer(function, arguments)
        except WorkerDied as error:
            raise TryAgain(f"the process that worked on it {error}. Another takes its place: try again.") from error
        finally:
            self._delete(uploads)
        return {"output": output, "finish_date": datetime.now().isoformat(" ", "microseconds")}

    def _delete(self, uploads: set[Path]) -> None:
        for upload in uploads:
            upload.unlink(missing_ok=True)  # the worker that takes it deletes it as well
        self._uploads -= uploads

    async def _answer(self, function: Function, arguments: tuple[Any, ...]) -> Any:
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(WorkerDiedIdle):
                return await self._ask_one(function, arguments)
        return await self._ask_one(function, arguments)

    async def _ask_one(self, function: Function, arguments: tuple[Any, ...]) -> Any:
        worker = None
        try:
            worker = await self._next()
            answer = self._ask(worker, function, arguments)
            answer.add_done_callback(functools.partial(self._make_free, worker))
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            if self._closed:
                raise
            if worker is not None:
                self._stop(worker, function)
            raise TrainingStoppedError("it was cancelled.") from None

    def _ask(self, worker: Worker, function: Function, arguments: tuple[Any, ...]) -> "asyncio.Future[Any]":
        try:
            return worker.ask(function, arguments)
        except RuntimeError as error:
            self._free.put_nowait(worker)
            raise TryAgain(f"the server has no room for another thread at this moment: {error}. Ask again.") from error

    async def _next(self) -> Worker:
        task = asyncio.current_task()
        self._waiting.add(task)
        try:
            while not self._stopping:
                if (worker := await self._free.get()) in self._alive:
                    return worker
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._waiting.discard(task)
        raise TryAgain("the service is being stopped: ask again when it runs anew.")

    def _make_free(self, worker: Worker, answer: "asyncio.Future[Any]") -> None:
        # Whoever asked may not be there to see an error.
        if not answer.cancelled():
            answer.exception()
        if worker in self._alive:
            self._free.put_nowait(worker)

    def _stop(self, worker: Worker, function: Function) -> None:
        if self._stoppable is not None and getattr(function, "func", None) is self._stoppable:
            worker.give_up()
        else:
            self._take_out(worker)
            self._start()

    def _start(self) -> None:
        if self._closed:
            return
        try:
            worker = Worker(self._warm, self._count)
            self._loop.add_reader(worker.process.sentinel, self._replace, worker)
        except OSError as error:
            # Too many open files or processes, or too little memory: that passes.
            log.warning("a worker cannot be started, it is tried again in a moment: %s", error)
            self._loop.call_later(_SECONDS_BEFORE_ANOTHER, self._start)
            return
        self._alive.add(worker)
        try:
            # One that is still being made ready would keep a request waiting that another has time for.
            worker.ask(_be_ready, ()).add_done_callback(functools.partial(self._make_free, worker))
        except RuntimeError:  # no room for another thread: it is free all the same
            self._free.put_nowait(worker)

    def _replace(self, worker: Worker) -> None:
        self._take_out(worker)
        log.warning("worker %s %s; another takes its place", worker.process.pid, worker.how_it_ended())
        self._loop.call_later(_SECONDS_BEFORE_ANOTHER, self._start)

    def _take_out(self, worker: Worker) -> None:
        self._loop.remove_reader(worker.process.sentinel)
        self._alive.discard(worker)
        worker.kill()


def _be_ready() -> None:
    """What a worker is asked first: it answers when it has started and is warm."""


def take_over_workers() -> None:
    """Have this process's DEEPaaS, if it is starting one, use `Workers` for our functions."""
    wrapper_module = sys.modules.get("deepaas.model.v2.wrapper")
    if wrapper_module is None:
        return
    for wrapper in sys.modules["deepaas.model"].V2_MODELS.values():
        pool: Any = getattr(wrapper, "_executor", None)
        if wrapper.model_obj is not sys.modules["api"] or isinstance(pool, Workers):
            continue
        if type(pool) is not getattr(wrapper_module, "CancellablePool", None):
            log.warning("this version of DEEPaaS is not known: if a worker is killed, restart the service")
            continue
        predict = wrapper_module.ModelWrapper.predict_wrap
        wrapper.predict = handing_on(wrapper.predict, wrapper_module.UploadedFile)
        wrapper._executor = Workers(len(pool._free), wrapper.model_obj.warm, stoppable=predict)
        wrapper._app.on_shutdown.append(wrapper._executor.refuse_waiting)
        for unused in pool._free:
            unused.terminate()


def _uploads(function: Function) -> set[Path]:
    """The temporary files that DEEPaaS has made of what a client sent."""
    sent = getattr(function, "keywords", {}).values()
    names = [getattr(one, "filename", None) for one in sent]
    return {Path(name) for name in names if isinstance(name, str)}
