"""A worker process of the service as the server sees it: calls by number, their answers, and its end."""

import asyncio
import contextlib
import dataclasses
import logging
import multiprocessing
import pickle  # nosec B403: only between the processes of a service
import sys
import types
from collections.abc import Callable, Iterator
from multiprocessing.context import SpawnProcess
from typing import Any

from api.errors import InternalError
from api.worker_connection import WorkerConnection
from api.worker_messages import Answer, Call, Cancel, Message, Started, Waiting
from api.worker_process import Warm, work
from model.processes import describe_exit, is_stopped

log = logging.getLogger(__name__)

# The system reports the exit status of a process shortly after its pipe closes.
_SECONDS_TO_EXIT = 1.0
_SECONDS_BETWEEN_EXIT_CHECKS = 0.005
# Calls that wait for other processes in one worker, besides the one that it executes.
_MAX_WAITING = 8
_SECONDS_TO_CANCEL = 15.0
_MAX_SECONDS_STOPPED = 5.0


class WorkerDied(Exception):
    """The process ended while it was executing a call."""


class WorkerDiedIdle(WorkerDied):
    """The process ended before it started the call."""


@dataclasses.dataclass
class _Pending:
    """A call without an answer.

    Attributes:
        exclusive: whether the worker executes nothing else meanwhile, such as a training.
        started: whether the worker has started it.
        waits: whether it has waited for another process, so that the worker may have another call.
        cancelled: whether its client has disconnected.
        silence: seconds since its last progress.
    """

    future: "asyncio.Future[Any]"
    exclusive: bool
    started: bool = False
    waits: bool = False
    cancelled: bool = False
    silence: float = 0.0


class Worker:
    """A process that executes function calls: one at a time, besides those that wait for another process.

    All methods run in the event loop.

    Args:
        process: the worker process.
        connection: its pipe, not opened yet.

    Attributes:
        on_free: called when the worker becomes free for another call.

    Raises:
        OSError: the pipe cannot be watched.
    """

    def __init__(self, process: SpawnProcess, connection: WorkerConnection) -> None:
        self.process = process
        self._loop = asyncio.get_running_loop()
        self._pending: dict[int, _Pending] = {}
        self.on_free: Callable[[Worker], None] = lambda worker: None
        self._end_reason: str | None = None
        self._kill_reason = ""
        self._stopped = 0.0
        self._connection = connection
        self._connection.open(self._receive, lambda: self.when_exited(self._end))

    @property
    def is_free(self) -> bool:
        """Whether the worker executes no call, except some that wait for other processes."""
        return len(self._pending) <= _MAX_WAITING and all(call.waits for call in self._pending.values())

    def call(
        self, number: int, function: Callable[..., Any], arguments: tuple[Any, ...], exclusive: bool = True
    ) -> "asyncio.Future[Any]":
        """Call a function in the process.

        Args:
            number: of the request; no other request to this worker has it.
            exclusive: whether the function runs in the main thread, may take any time, and never shares the worker.

        Returns:
            A future with what the function returns or raises; WorkerDied or WorkerDiedIdle if the process ends.
        """
        future = self._loop.create_future()
        if self._end_reason is not None:
            future.set_exception(WorkerDiedIdle(self._end_reason))
            return future
        try:
            content = pickle.dumps((function, arguments))
        except Exception as error:
            log.exception("a call cannot be pickled")
            future.set_exception(InternalError(f"the call cannot be sent to the worker process: {error!r}"))
            self.on_free(self)
            return future
        self._pending[number] = _Pending(future, exclusive)
        self._connection.send(Call(number, content, exclusive))
        return future

    def cancel(self, number: int) -> None:
        """Cancel a call unless its answer is there; a running function stops at its next `Cancellation.check`."""
        if (pending := self._pending.get(number)) is not None:
            pending.cancelled = True
            self._connection.send(Cancel(number))

    def others(self, number: int) -> list["asyncio.Future[Any]"]:
        """Futures of the calls without an answer, except one."""
        return [call.future for other, call in self._pending.items() if other != number]

    def tick(self, seconds: float, limit: float) -> str:
        """Count time, and return why the worker must be killed; empty if it works, or is idle.

        Args:
            seconds: since the last tick; a pause of the server itself does not count.
            limit: seconds without progress, of a call that is not exclusive.
        """
        self._stopped = self._stopped + seconds if is_stopped(self.process.pid or 0) else 0.0
        if self._stopped >= _MAX_SECONDS_STOPPED:
            return "was stopped by a signal, did not continue, and was ended"
        for call in self._pending.values():
            call.silence += seconds
            allowed = min(limit, _SECONDS_TO_CANCEL) if call.cancelled else limit
            if call.silence >= allowed and not call.exclusive:
                return f"made no progress for {allowed:g} s and was ended"
        return ""

    def kill(self, reason: str = "") -> None:
        """Kill the process (SIGKILL).

        Args:
            reason: a verb phrase for the errors of its calls.
        """
        self._kill_reason = reason
        self.process.kill()

    def terminate(self) -> None:
        """Terminate the process (SIGTERM); a training is recorded as interrupted, and usage counts are saved."""
        self.process.terminate()

    def when_exited(self, use: Callable[[str], None], seconds: float = _SECONDS_TO_EXIT) -> None:
        """Call a function with how the process ended, such as "ended with status 1", within a second."""
        if self.process.exitcode is None and seconds > 0:
            pause = _SECONDS_BETWEEN_EXIT_CHECKS
            self._loop.call_later(pause, self.when_exited, use, seconds - pause)
        else:
            use(self._kill_reason or describe_exit(self.process.exitcode))

    def _receive(self, message: Message) -> None:
        pending = self._pending.get(message.number)
        if pending is None:
            log.error("worker %s: a message belongs to no pending request: %d", self.process.pid, message.number)
            return
        pending.silence = 0.0
        if isinstance(message, Started):
            pending.started = True
        elif isinstance(message, Waiting):
            pending.waits = True
        elif isinstance(message, Answer):
            del self._pending[message.number]
            _settle(pending.future, message.content)
        if self.is_free:
            self.on_free(self)

    def _end(self, reason: str) -> None:
        """The process has ended, and all its messages were received."""
        self._end_reason = reason
        pending, self._pending = list(self._pending.values()), {}
        for call in pending:
            call.future.set_exception((WorkerDied if call.started else WorkerDiedIdle)(reason))


def start_worker(warm: Warm | None, workers: int = 1) -> Worker:
    """Start a worker process.

    Args:
        warm: called first in the process.
        workers: the number of worker processes of the service.

    Raises:
        OSError: no process can be started.
    """
    context = multiprocessing.get_context("spawn")
    pipe, process_end = context.Pipe()
    # Closed here, so that the pipe closes when the process ends.
    with process_end:
        # Not a daemon: daemons may not have child processes.
        process = context.Process(target=work, args=(process_end, warm, workers), daemon=False)
        with _without_main_module():
            process.start()
    try:
        return Worker(process, WorkerConnection(pipe))
    except OSError:
        process.kill()
        raise


@contextlib.contextmanager
def _without_main_module() -> Iterator[None]:
    """Start processes inside without importing the program of the server, whose modules take memory in each."""
    main, program = sys.modules["__main__"], types.ModuleType("__main__")
    sys.modules["__main__"] = program
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _settle(future: "asyncio.Future[Any]", content: bytes) -> None:
    try:
        result, error = pickle.loads(content)  # nosec B301: from our own process
    except Exception as reason:
        log.exception("an answer of a worker cannot be unpickled")
        result, error = None, InternalError(f"the answer of the worker process cannot be read: {reason!r}")
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
