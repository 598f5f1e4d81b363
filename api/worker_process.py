"""A worker process of the service, and the pipe by which it is asked and answers."""

import asyncio
import contextlib
import logging
import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from api.ending import GoodEnding
from api.errors import InternalError
from api.worker import MODEL_CACHE, USAGE, WANTED
from model.processes import describe_exit

log = logging.getLogger(__name__)

# For the system to tell how a process has ended that has.
_SECONDS_TO_END = 1.0

_BEGUN = "begun"

Warm = Callable[[], Any]


class WorkerDied(Exception):
    """The process is gone, and with it what it was asked."""


class WorkerDiedIdle(WorkerDied):
    """It had not begun with what it was asked."""


class Worker:
    """A process that calls functions, one after the other.

    Args:
        warm: what it calls first.
        workers: how many there are of it.
    """

    def __init__(self, warm: Warm | None, workers: int = 1) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, its_end = context.Pipe()
        # Not a daemon: those may have no processes of their own.
        self.process = context.Process(target=_work, args=(its_end, warm, workers), daemon=False)
        self.process.start()
        # So that the pipe ends with the process.
        its_end.close()
        self._asking_how_it_ended = threading.Lock()
        self._sending = threading.Lock()
        self._number = 0

    def ask(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> "asyncio.Future[Any]":
        """What `function` returns or raises in the process; WorkerDied, or WorkerDiedIdle, if that ends before.

        Raises:
            RuntimeError: there is no room for another thread; nothing was asked.
        """
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        self._number += 1
        message = (self._number, function, arguments)

        def settle(outcome: Any, error: BaseException | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(outcome)
            else:
                answer.set_exception(error)

        def wait() -> None:
            outcome = self._call(message)
            # The server may have stopped meanwhile.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, *outcome)

        threading.Thread(target=wait, daemon=True, name="waits for a worker").start()
        return answer

    def give_up(self) -> None:
        """Have it leave what it was asked last, unless that is done; it stops where it looks (`StillWanted`)."""
        # It may be busy, and another thread still be sending what it was asked.
        number = self._number
        with contextlib.suppress(RuntimeError):  # no room for another thread: it is finished then
            threading.Thread(target=self._give_up, args=(number,), daemon=True, name="gives up a request").start()

    def kill(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()

    def terminate(self) -> None:
        """End the process; a training is written down as interrupted, and what was counted is written."""
        self.process.terminate()

    def how_it_ended(self) -> str:
        """How the process has ended, in words; it is waited for a little if it is about to."""
        # The system tells one who waits, and to another at the same time that there is no such process.
        with self._asking_how_it_ended:
            self.process.join(_SECONDS_TO_END)
            return describe_exit(self.process.exitcode)

    def _give_up(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self._send(number)

    def _send(self, message: Any) -> None:
        with self._sending:
            self._pipe.send(message)

    def _call(self, message: tuple[int, Callable[..., Any], tuple[Any, ...]]) -> tuple[Any, BaseException | None]:
        died: type[WorkerDied] = WorkerDiedIdle
        try:
            self._send(message)
            self._pipe.recv()
            died = WorkerDied
            outcome: tuple[Any, BaseException | None] = self._pipe.recv()
        except (EOFError, OSError):
            return None, died(self.how_it_ended())
        except Exception as error:
            log.exception("what was asked, or the answer, could not be passed on")
            return None, InternalError(f"could not be passed to the process that works, or back: {error!r}")
        return outcome


class _Requests:
    """What comes through the pipe, in the process: requests by their numbers, and numbers of those to be given up."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._number = 0
        self._given_up = 0

    def next(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Wait for a request: the function to be called, and its arguments."""
        while isinstance(message := self._pipe.recv(), int):
            self._given_up = message
        self._number, function, arguments = message
        return function, arguments

    def is_given_up(self) -> bool:
        """Whether nobody waits any more for the answer to the last request."""
        try:
            while self._pipe.poll():
                self._given_up = self._pipe.recv()
        except (EOFError, OSError):
            return True  # the server has ended
        return self._given_up >= self._number


def _work(pipe: Connection, warm: Warm | None, workers: int) -> None:
    """In the process: answer what comes, up to the end of the server."""
    requests = _Requests(pipe)
    ending = GoodEnding(USAGE.write)
    WANTED.listen(requests.is_given_up)
    MODEL_CACHE.workers = workers
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        if warm is not None:
            warm()
        while True:
            function, arguments = requests.next()
            ending.hold()
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
        WANTED.check()
        return function(*arguments), None
    except Exception as error:
        return None, error
