"""Worker processes without processes: a test decides when each of them starts a call, answers it and ends."""

import os
import pickle
import signal
from collections.abc import Callable
from typing import Any

from api.errors import Unavailable
from api.worker import Worker
from api.worker_messages import Answer, Call, Cancel, Message, Started, Waiting


class ScriptedProcess:
    """The part of `multiprocessing.Process` that the server uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.exitcode: int | None = None
        self.sentinel, self._held_while_alive = os.pipe()
        self.on_kill: Callable[[], None] = lambda: None

    def kill(self) -> None:
        self.on_kill()
        self.exit(-signal.SIGKILL)

    terminate = kill

    def exit(self, code: int) -> None:
        if self.exitcode is None:
            self.exitcode = code
            os.close(self._held_while_alive)


class ScriptedWorker:
    """A worker process under the control of a test, in the place of `WorkerConnection`.

    Attributes:
        calls: number -> function and arguments, of the calls without an answer.
        started: numbers of the calls that have started.
        waiting: numbers of the calls that wait for another process.
        cancelled: numbers of the calls that were cancelled.
        on_message: called with each message of the server.
    """

    def __init__(self, pid: int) -> None:
        self.process = ScriptedProcess(pid)
        self.calls: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
        self.started: set[int] = set()
        self.waiting: set[int] = set()
        self.cancelled: set[int] = set()
        self.on_message: Callable[[Message], None] = lambda message: None
        self.worker = Worker(self.process, self)

    def open(self, receive: Callable[[Message], None], end: Callable[[], None]) -> None:
        self._receive, self._end = receive, end

    def send(self, message: Message) -> None:
        if self.process.exitcode is not None:
            return
        if isinstance(message, Call):
            self.calls[message.number] = pickle.loads(message.content)
        elif isinstance(message, Cancel):
            self.cancelled.add(message.number)
        self.on_message(message)

    def start(self, number: int) -> None:
        self.started.add(number)
        self._receive(Started(number))

    def wait(self, number: int) -> None:
        self.waiting.add(number)
        self._receive(Waiting(number))

    def answer(self, number: int) -> None:
        """Answer a call by what its function returns; a cancelled call, with an error."""
        function, arguments = self.calls.pop(number)
        error = Unavailable("it was cancelled") if number in self.cancelled else None
        result = None if error else function(*arguments)
        self._receive(Answer(number, pickle.dumps((result, error))))

    def end(self) -> None:
        """Close the pipe of a process that has ended."""
        self._end()
