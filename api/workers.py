"""The worker processes of the service: one that dies is replaced, and its request is answered.

DEEPaaS has a `multiprocessing.Pool` of one process for each worker. If that is killed, the pool starts another but
never tells of the answer it lost; and a process killed while it waits for work takes the pool's lock with it. Either
way requests hang for ever. Here each worker has a pipe of its own, which ends with it.
"""

import asyncio
import atexit
import contextlib
import logging
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any

from api.errors import InternalError, Unavailable
from model.errors import TrainingStoppedError

log = logging.getLogger(__name__)

# If that dies as well, as where memory is short, the machine is not to be kept busy with starting others.
_SECONDS_BEFORE_ANOTHER = 1.0
# How often something is asked anew that no process has begun with.
_ATTEMPTS = 3
# For the system to tell how a process has ended that has.
_SECONDS_TO_END = 1.0

_BEGUN = "begun"

Warm = Callable[[], Any]


class WorkerDied(Exception):
    """The process is gone, and with it what it was asked."""


class WorkerDiedIdle(WorkerDied):
    """It had not begun with what it was asked."""


class Worker:
    """A process that calls functions, one after the other."""

    def __init__(self, warm: Warm | None) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, its_end = context.Pipe()
        # Not a daemon: those may have no processes of their own.
        self.process = context.Process(target=_work, args=(its_end, warm), daemon=False)
        self.process.start()
        # So that the pipe ends with the process.
        its_end.close()
        self._asking_how_it_ended = threading.Lock()

    def ask(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> "asyncio.Future[Any]":
        """What `function` returns or raises in the process; WorkerDied, or WorkerDiedIdle, if that ends before."""
        loop = asyncio.get_running_loop()
        answer = loop.create_future()

        def settle(outcome: Any, error: BaseException | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(outcome)
            else:
                answer.set_exception(error)

        def wait() -> None:
            outcome = self._call(function, arguments)
            # The server may have stopped meanwhile.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, *outcome)

        threading.Thread(target=wait, daemon=True, name="waits for a worker").start()
        return answer

    def kill(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()

    def terminate(self) -> None:
        """End the process; a training is written down as interrupted."""
        self.process.terminate()

    def how_it_ended(self) -> str:
        """How the process has ended, in words; it is waited for a little if it is about to."""
        # The system tells one who waits, and to another at the same time that there is no such process.
        with self._asking_how_it_ended:
            self.process.join(_SECONDS_TO_END)
            return _how_it_ended(self.process.exitcode)

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
        died: type[WorkerDied] = WorkerDiedIdle
        try:
            self._pipe.send((function, arguments))
            self._pipe.recv()
            died = WorkerDied
            outcome: tuple[Any, BaseException | None] = self._pipe.recv()
        except (EOFError, OSError):
            return None, died(self.how_it_ended())
        except Exception as error:
            log.exception("what was asked, or the answer, could not be passed on")
            return None, InternalError(f"could not be passed to the process that works, or back: {error!r}")
        return outcome


class Workers:
    """Takes the place of DEEPaaS's `CancellablePool`, with the same two methods.

    Args:
        count: how many processes.
        warm: what the process that replaces another calls first; DEEPaaS itself sees to the first ones.
    """

    def __init__(self, count: int, warm: Warm) -> None:
        self._warm = warm
        self._loop = asyncio.get_running_loop()
        self._alive: set[Worker] = set()
        self._free: asyncio.Queue[Worker] = asyncio.Queue()
        self._closed = False
        for _ in range(count):
            self._start(None)
        # A server that ends before it serves cleans up nothing, and would wait for its processes for ever.
        atexit.register(self.shutdown)

    async def apply(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Call it in a free process; when cancelled, end the process.

        Returns:
            `output`, and `finish_date` as DEEPaaS reads it.

        Raises:
            Unavailable: the process died.
            TrainingStoppedError: this was cancelled; DEEPaaS would make a 500 of the cancellation itself.
        """
        try:
            output = await self._answer(function, arguments)
        except WorkerDied as error:
            raise Unavailable(f"the process that worked on it {error}. Another takes its place: try again.") from error
        return {"output": output, "finish_date": datetime.now().isoformat(" ", "microseconds")}

    def shutdown(self) -> None:
        """End all processes."""
        self._closed = True
        atexit.unregister(self.shutdown)
        for worker in self._alive:
            worker.terminate()

    async def _answer(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(WorkerDiedIdle):
                return await self._ask_one(function, arguments)
        return await self._ask_one(function, arguments)

    async def _ask_one(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        worker = None
        try:
            worker = await self._next()
            return await worker.ask(function, arguments)
        except asyncio.CancelledError:
            if self._closed:
                raise
            if worker is not None:
                self._take_out(worker)
                self._start(self._warm)
            raise TrainingStoppedError("it was cancelled.") from None
        finally:
            if worker in self._alive:
                self._free.put_nowait(worker)

    async def _next(self) -> Worker:
        while (worker := await self._free.get()) not in self._alive:
            pass
        return worker

    def _start(self, warm: Warm | None) -> None:
        if self._closed:
            return
        worker = Worker(warm)
        self._alive.add(worker)
        self._free.put_nowait(worker)
        self._loop.add_reader(worker.process.sentinel, self._replace, worker)

    def _replace(self, worker: Worker) -> None:
        self._take_out(worker)
        log.warning("worker %s %s; another takes its place", worker.process.pid, worker.how_it_ended())
        self._loop.call_later(_SECONDS_BEFORE_ANOTHER, self._start, self._warm)

    def _take_out(self, worker: Worker) -> None:
        self._loop.remove_reader(worker.process.sentinel)
        self._alive.discard(worker)
        worker.kill()


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
        wrapper._executor = Workers(len(pool._free), wrapper.model_obj.warm)
        for unused in pool._free:
            unused.terminate()


def _work(pipe: Connection, warm: Warm | None) -> None:
    """In the process: answer what comes, up to the end of the server."""
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        if warm is not None:
            warm()
        while True:
            function, arguments = pipe.recv()
            pipe.send(_BEGUN)
            outcome = _outcome(function, arguments)
            try:
                pipe.send(outcome)
            except OSError:
                raise
            except Exception as error:
                # Nothing of it was sent: it is pickled as a whole before.
                pipe.send((None, InternalError(f"the answer cannot be passed on: {error!r}")))


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
    try:
        return function(*arguments), None
    except Exception as error:
        return None, error


def _how_it_ended(exit_status: int | None) -> str:
    if exit_status == -signal.SIGKILL:
        return "was killed (SIGKILL), as the system does when memory runs out"
    if exit_status is not None and exit_status < 0:
        return f"was ended by {signal.Signals(-exit_status).name}"
    return f"has ended (status {exit_status})"
