"""A worker process of the service and the pipe that connects it to the server."""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from api.errors import InternalError
from api.worker_state import CANCELLATION, MODEL_CACHE, USAGE
from model.processes import describe_exit

log = logging.getLogger(__name__)

# The system reports the exit status of a process shortly after its pipe closes.
_SECONDS_TO_EXIT = 1.0
# Docker allows ten seconds to stop a service; requests in progress may take eight of them.
SECONDS_TO_SAVE = 1.5
_SECONDS_FOR_SIGNAL_HANDLER = 0.2

_STARTED = "started"

Warm = Callable[[], Any]
Outcome = tuple[Any, BaseException | None]


class WorkerDied(Exception):
    """The process ended while it was executing a call."""


class WorkerDiedIdle(WorkerDied):
    """The process ended before it started the call."""


class Worker:
    """A process that executes function calls one after the other.

    Args:
        warm: called first in the process.
        workers: the number of worker processes of the service.
    """

    def __init__(self, warm: Warm | None, workers: int = 1) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, process_end = context.Pipe()
        # Not a daemon: daemons may not have child processes.
        self.process = context.Process(target=_work, args=(process_end, warm, workers), daemon=False)
        self.process.start()
        # Closed here, so that the pipe closes when the process ends.
        process_end.close()
        self._joining = threading.Lock()
        self._sending = threading.Lock()
        self._number = 0

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> "asyncio.Future[Any]":
        """Call a function in the process.

        Returns:
            A future with what the function returns or raises; WorkerDied or WorkerDiedIdle if the process ends.

        Raises:
            RuntimeError: no thread can be started; nothing was sent.
        """
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._number += 1
        message = (self._number, function, arguments)

        def settle(result: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def wait() -> None:
            outcome = self._exchange(message)
            # The event loop may have stopped in the meantime.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, *outcome)

        threading.Thread(target=wait, daemon=True, name="waits for a worker").start()
        return future

    def cancel(self) -> None:
        """Cancel the last call unless it is done; a running function stops at its next `Cancellation.check`."""
        # Sent by a thread: the process may be busy, and another thread may still be sending the call.
        number = self._number
        with contextlib.suppress(RuntimeError):  # no thread can be started: the call runs to its end
            threading.Thread(target=self._cancel, args=(number,), daemon=True, name="cancels a request").start()

    def kill(self) -> None:
        """Kill the process (SIGKILL)."""
        self.process.kill()

    def terminate(self) -> None:
        """Terminate the process (SIGTERM); a training is recorded as interrupted, and usage counts are saved."""
        self.process.terminate()

    def describe_exit(self) -> str:
        """Describe how the process ended, such as "exited with status 1"; waits up to a second for its exit."""
        # Only one thread at a time can wait for a process.
        with self._joining:
            self.process.join(_SECONDS_TO_EXIT)
            return describe_exit(self.process.exitcode)

    def _cancel(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self._send(number)

    def _send(self, message: Any) -> None:
        with self._sending:
            self._pipe.send(message)

    def _exchange(self, message: tuple[int, Callable[..., Any], tuple[Any, ...]]) -> Outcome:
        """Send a call and receive its outcome."""
        died: type[WorkerDied] = WorkerDiedIdle
        try:
            self._send(message)
            self._pipe.recv()
            died = WorkerDied
            outcome: Outcome = self._pipe.recv()
        except (EOFError, OSError):
            return None, died(self.describe_exit())
        except Exception as error:
            log.exception("a call or its result could not be pickled")
            return None, InternalError(f"could not be sent to or from the worker process: {error!r}")
        return outcome


class SigtermHandler:
    """Saves data that is only in memory when this process receives SIGTERM, then lets the signal end the process.

    Saving runs in a thread while the main thread continues: an exception could interrupt the main thread at any line,
    and a Python signal handler waits for native code and for unresponsive storage. While the process waits for a
    training, that installs a handler of its own.

    Args:
        save: writes data from memory to disk.
    """

    def __init__(self, save: Callable[[], None]) -> None:
        self._save = save
        self._received = threading.Event()
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=(reader,), daemon=True, name="handles SIGTERM").start()
        signal.signal(signal.SIGTERM, self._handle)

    def wait_if_terminating(self) -> None:
        """Return at once, or never if SIGTERM was received: another process then executes the call."""
        while self._received.is_set():
            signal.pause()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._received.set()

    def _listen(self, reader: int) -> None:
        """Wait for SIGTERM: the system writes signal numbers to the pipe immediately."""
        while os.read(reader, 1) != bytes([signal.SIGTERM]) or not self._is_installed():
            pass
        self._received.set()
        # Unresponsive storage must not keep the service from ending.
        signal.setitimer(signal.ITIMER_REAL, SECONDS_TO_SAVE)
        try:
            self._save()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_SECONDS_FOR_SIGNAL_HANDLER)
            os.kill(os.getpid(), signal.SIGALRM)

    def _is_installed(self) -> bool:
        return signal.getsignal(signal.SIGTERM) in (self._handle, signal.SIG_DFL)


class _Calls:
    """Messages from the pipe, in the worker process: numbered calls, and numbers of calls to cancel."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._number = 0
        self._cancelled = 0

    def next(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Wait for the next call: the function and its arguments."""
        while isinstance(message := self._pipe.recv(), int):
            self._cancelled = message
        self._number, function, arguments = message
        return function, arguments

    def is_cancelled(self) -> bool:
        """Whether the last call was cancelled, or the server has ended."""
        try:
            while self._pipe.poll():
                self._cancelled = self._pipe.recv()
        except (EOFError, OSError):
            return True
        return self._cancelled >= self._number


def _work(pipe: Connection, warm: Warm | None, workers: int) -> None:
    """Main function of a worker process: execute calls until the server ends."""
    calls = _Calls(pipe)
    sigterm = SigtermHandler(USAGE.write)
    CANCELLATION.set_source(calls.is_cancelled)
    MODEL_CACHE.workers = workers
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        if warm is not None:
            warm()
        while True:
            function, arguments = calls.next()
            sigterm.wait_if_terminating()
            pipe.send(_STARTED)
            outcome = _execute(function, arguments)
            try:
                pipe.send(outcome)
            except OSError:
                raise
            except Exception as error:
                # Objects are pickled as a whole before the first byte is sent.
                pipe.send((None, InternalError(f"the result cannot be pickled: {error!r}")))


def _execute(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Outcome:
    try:
        CANCELLATION.check()
        return function(*arguments), None
    except Exception as error:
        return None, error
