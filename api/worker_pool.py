"""The pool of worker processes: a process that dies is replaced, and its request receives an error.

DEEPaaS uses a `multiprocessing.Pool` of one process per worker. If that process is killed, the pool starts another one
but never reports the lost result; a process killed while it waits for work keeps the pool's lock. In both cases
requests hang forever. Here each worker has its own pipe, which closes when the process ends.

Each request has a number of its own from here to the worker and back. A client that disconnects cancels this number,
whatever the worker does by then.
"""

import asyncio
import atexit
import contextlib
import functools
import gc
import itertools
import logging
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from api.ended_trainings import trainings_of, wait_for_end
from api.errors import TryAgain
from api.temporary import passing_files
from api.worker import Worker, WorkerDied, WorkerDiedIdle, start_worker
from api.worker_process import Warm
from model.environment import WORKER_SECONDS
from model.errors import TrainingStoppedError
from model.reading import with_path
from model.resources import release_free_memory

log = logging.getLogger(__name__)

# A pause, so that processes that die at once, for example for lack of memory, do not keep the machine busy.
_SECONDS_BEFORE_RESTART = 1.0
# Further attempts for a call that no process has started.
_RETRIES = 3
_SECONDS_BETWEEN_CHECKS = 1.0
# Refused requests are in reference cycles with their errors: an idle server would keep their content.
_SECONDS_BETWEEN_RELEASES = 60.0

Function = Callable[..., Any]


class _Request(NamedTuple):
    """A call of a client.

    Attributes:
        number: unlike that of any other request of this pool.
    """

    number: int
    function: Function
    arguments: tuple[Any, ...]


class WorkerPool:
    """Worker processes that replace DEEPaaS's `CancellablePool`, with the same two methods `apply` and `shutdown`.

    Args:
        count: the number of processes.
        warm: called first in each process. DEEPaaS calls it once per process too, but not in each.
        cancellable: the function that checks for cancellation (`api.cancellation.Cancellation`), as the `func` of a
            partial; None if there is none.
        start: starts a worker process.
    """

    def __init__(
        self,
        count: int,
        warm: Warm,
        cancellable: Function | None = None,
        start: Callable[[Warm, int], Worker] = start_worker,
    ) -> None:
        self._start_worker = functools.partial(start, warm, count)
        self._numbers = itertools.count(1)
        self._cancellable = cancellable
        self._loop = asyncio.get_running_loop()
        self._alive: set[Worker] = set()
        self._free: asyncio.Queue[Worker] = asyncio.Queue()
        self._offered: set[Worker] = set()
        self._waiting: set[asyncio.Task[Any] | None] = set()
        self._uploads: set[Path] = set()
        self._stopping = False
        self._closed = False
        for _ in range(count):
            self._start()
        self._loop.call_later(_SECONDS_BETWEEN_CHECKS, self._check_workers)
        self._loop.call_later(_SECONDS_BETWEEN_RELEASES, self._release_memory)
        # A server that exits during start-up runs no clean-up, and would wait for its processes forever.
        atexit.register(self.shutdown)

    def apply(self, function: Function, *arguments: Any) -> Coroutine[Any, Any, dict[str, Any]]:
        """Call a function in a free process; delete the uploads among its arguments afterwards.

        Cancellation: a call that has not started is dropped; a running `cancellable` function is asked to stop; for any
        other running function the process is killed and replaced. A call that is done returns its result all the same.

        Returns:
            `output`, and `finish_date` in the format of DEEPaaS.

        Raises:
            TryAgain: the process died, or the service is stopping.
            TrainingStoppedError: this call was cancelled; DEEPaaS would turn asyncio's own error into a 500.
        """
        # Before the coroutine starts: a task cancelled before its first step runs none of it.
        uploads = _uploads(function)
        self._uploads |= uploads
        return self._apply(_Request(next(self._numbers), function, arguments), uploads)

    async def refuse_waiting(self, _: web.Application) -> None:
        """Refuse all calls that wait for a free process, now and from now on: the service is stopping."""
        self._stopping = True
        for task in self._waiting:
            if task is not None:
                task.cancel()

    def shutdown(self) -> None:
        """Terminate all processes and delete the uploads that none of them has opened."""
        self._closed = True
        atexit.unregister(self.shutdown)
        for worker in self._alive:
            worker.terminate()
        self._delete(self._uploads.copy())

    async def _apply(self, request: _Request, uploads: set[Path]) -> dict[str, Any]:
        try:
            output = await self._call_with_retries(request)
        except WorkerDied as error:
            message = f"the worker processing this request {error}. A new one is starting: please retry."
            raise TryAgain(message) from error
        finally:
            self._delete(uploads)
        return {"output": output, "finish_date": datetime.now().isoformat(" ", "microseconds")}

    def _delete(self, uploads: set[Path]) -> None:
        for upload in uploads:
            upload.unlink(missing_ok=True)  # the worker that opens an upload deletes it as well
        self._uploads -= uploads

    async def _call_with_retries(self, request: _Request) -> Any:
        for _ in range(_RETRIES):
            with contextlib.suppress(WorkerDiedIdle):
                return await self._call(request)
        return await self._call(request)

    async def _call(self, request: _Request) -> Any:
        worker = future = None
        try:
            worker = await self._next()
            future = worker.call(*request, exclusive=not self._is_cancellable(request))
            # The caller may be cancelled, and never retrieve an error.
            future.add_done_callback(asyncio.Future.exception)
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if self._closed:
                raise
            if worker is not None and future is not None:
                if not future.done():
                    await self._cancel(worker, request)
                elif not isinstance(future.exception(), WorkerDied):
                    return future.result()
            raise TrainingStoppedError("it was cancelled.") from None

    async def _next(self) -> Worker:
        """Wait for a free worker."""
        task = asyncio.current_task()
        self._waiting.add(task)
        try:
            while not self._stopping:
                worker = await self._free.get()
                self._offered.discard(worker)
                if worker in self._alive:
                    return worker
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._waiting.discard(task)
        raise TryAgain("the service is stopping: retry after it has restarted.")

    def _offer(self, worker: Worker) -> None:
        """Let the next request use a worker that is free."""
        if worker in self._alive and worker not in self._offered:
            self._offered.add(worker)
            self._free.put_nowait(worker)

    def _is_cancellable(self, request: _Request) -> bool:
        return self._cancellable is not None and getattr(request.function, "func", None) is self._cancellable

    async def _cancel(self, worker: Worker, request: _Request) -> None:
        """Cancel a request without an answer."""
        if self._is_cancellable(request):
            worker.cancel(request.number)
        elif others := worker.others(request.number):
            # They wait for other processes, and will soon be done.
            ending = asyncio.gather(*others, return_exceptions=True)
            ending.add_done_callback(lambda _: self._stop(worker))
        else:
            trainings = trainings_of(worker.process.pid)
            self._stop(worker)
            # A deleted training ends some time after its worker.
            await wait_for_end(trainings)

    def _stop(self, worker: Worker) -> None:
        if worker in self._alive:
            self._remove(worker)
            self._start()

    def _check_workers(self) -> None:
        """Kill workers that do not respond; `_replace` starts others."""
        limit = WORKER_SECONDS.read()
        for worker in self._alive:
            if reason := worker.tick(_SECONDS_BETWEEN_CHECKS, limit):
                worker.kill(reason)
        if not self._closed:
            self._loop.call_later(_SECONDS_BETWEEN_CHECKS, self._check_workers)

    def _release_memory(self) -> None:
        """Return memory to the system: a collection takes less than a tenth of a second."""
        gc.collect()
        release_free_memory()
        if not self._closed:
            self._loop.call_later(_SECONDS_BETWEEN_RELEASES, self._release_memory)

    def _start(self) -> None:
        if self._closed:
            return
        try:
            worker = self._start_and_watch()
        except OSError as error:
            # Too many open files or processes, or too little memory: temporary conditions.
            log.warning("a worker cannot be started and will be started again in a moment: %s", with_path(error))
            self._loop.call_later(_SECONDS_BEFORE_RESTART, self._start)
            return
        self._alive.add(worker)
        worker.on_free = self._offer
        # Free only once it is warm: until then another worker may answer a request sooner.
        worker.call(next(self._numbers), _warmed_up, ()).add_done_callback(asyncio.Future.exception)

    def _start_and_watch(self) -> Worker:
        worker = self._start_worker()
        try:
            self._loop.add_reader(worker.process.sentinel, self._replace, worker)
        except OSError:
            worker.kill()
            raise
        return worker

    def _replace(self, worker: Worker) -> None:
        self._remove(worker)
        worker.when_exited(lambda end: log.warning("worker %s %s; starting a new one", worker.process.pid, end))
        self._loop.call_later(_SECONDS_BEFORE_RESTART, self._start)

    def _remove(self, worker: Worker) -> None:
        self._loop.remove_reader(worker.process.sentinel)
        self._alive.discard(worker)
        worker.process.kill()


def _warmed_up() -> None:
    """The first call to each worker: it returns when the worker has started and is warm."""


def _call(function: Function, **options: Any) -> Any:
    """Call `predict` in a worker, in place of a function of DEEPaaS for which the worker would import all of it.

    That one also turns open files into their names; our answers are none.
    """
    return function(**options)


def install_worker_pool() -> None:
    """Replace the pool of DEEPaaS in this process with a `WorkerPool`, if a server is starting in it."""
    wrapper_module = sys.modules.get("deepaas.model.v2.wrapper")
    if wrapper_module is None:
        return
    for wrapper in sys.modules["deepaas.model"].V2_MODELS.values():
        pool: Any = getattr(wrapper, "_executor", None)
        if wrapper.model_obj is not sys.modules["api"] or isinstance(pool, WorkerPool):
            continue
        if type(pool) is not getattr(wrapper_module, "CancellablePool", None):
            log.warning("unknown version of DEEPaaS, its own pool is used: restart the service if a worker is killed")
            continue
        wrapper.predict_wrap = _call
        wrapper.predict = passing_files(wrapper.predict)
        wrapper._executor = WorkerPool(len(pool._free), wrapper.model_obj.warm, cancellable=_call)
        wrapper._app.on_shutdown.append(wrapper._executor.refuse_waiting)
        # The answers are our own, and tests compare them with the schema.
        wrapper.validate_response = lambda response: True
        for unused in pool._free:
            unused.terminate()


def _uploads(function: Function) -> set[Path]:
    """The temporary files of uploads among the arguments of a call."""
    arguments = getattr(function, "keywords", {}).values()
    names = [getattr(argument, "filename", None) for argument in arguments]
    return {Path(name) for name in names if isinstance(name, str)}
