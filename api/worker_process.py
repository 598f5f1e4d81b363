"""A worker process of the service: it executes the calls that the server sends."""

import contextlib
import functools
import os
import pickle  # nosec B403: only between the processes of a service
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from api.errors import InternalError
from api.worker_messages import Answer, Call, Message, MessageBuffer, Progress, Started, Waiting, framed
from api.worker_state import CANCELLATION, MODEL_CACHE, USAGE
from model.dataset.decoding_turns import one_request
from model.waiting import on_waiting

# Docker allows ten seconds to stop a service; requests in progress may take eight of them.
SECONDS_TO_SAVE = 1.5
_SECONDS_FOR_SIGNAL_HANDLER = 0.2
_SECONDS_BETWEEN_REPORTS = 0.5
_BLOCK = 1 << 18

Warm = Callable[[], Any]


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
        if self._received.is_set():
            threading.Event().wait()

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


class _Server:
    """The server, as seen from the worker process. A thread receives messages while calls are executed.

    Args:
        pipe: the worker's end of the pipe.
        execute: starts a call that is not exclusive in another thread; returns whether it could.
    """

    def __init__(self, pipe: Connection, execute: Callable[[Call], bool]) -> None:
        self._pipe = pipe
        self._execute = execute
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._cancelled: dict[int, threading.Event] = {}
        self._has_ended = False
        self._sending = threading.Lock()
        threading.Thread(target=self._receive_all, daemon=True, name="receives calls").start()

    def calls(self) -> Iterator[Call]:
        """Calls for the main thread in their order, until the server ends."""
        return iter(self._calls.get, None)

    def is_cancelled(self, number: int) -> bool:
        """Whether this call was cancelled, or the server has ended."""
        return self._has_ended or self._cancelled[number].is_set()

    def send(self, message: Message) -> None:
        """Send a message."""
        if isinstance(message, Answer):
            # From here on a cancellation of this call is too late.
            del self._cancelled[message.number]
        content = memoryview(framed(message))
        with self._sending:
            while content:
                content = content[os.write(self._pipe.fileno(), content) :]

    def _receive_all(self) -> None:
        messages = MessageBuffer()
        with contextlib.suppress(OSError):
            while block := os.read(self._pipe.fileno(), _BLOCK):
                for message in messages.add(block):
                    self._receive(message)
        self._has_ended = True
        self._calls.put(None)

    def _receive(self, message: Message) -> None:
        if isinstance(message, Call):
            self._cancelled[message.number] = threading.Event()
            if message.exclusive or not self._execute(message):
                self._calls.put(message)
        elif (cancelled := self._cancelled.get(message.number)) is not None:
            cancelled.set()


class _Threads:
    """Threads that execute calls. A thread that is done takes the next call: starting one takes longer.

    Args:
        execute: function of a call.
    """

    def __init__(self, execute: Callable[[Call], None]) -> None:
        self._execute = execute
        self._calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)

    def start(self, call: Call) -> bool:
        """Execute a call in a thread of its own; return whether there is one."""
        if not self._idle.acquire(blocking=False):
            try:
                threading.Thread(target=self._work, daemon=True, name="executes requests").start()
            except RuntimeError:  # no thread can be started
                return False
        self._calls.put(call)
        return True

    def _work(self) -> None:
        while True:
            self._execute(self._calls.get())
            self._idle.release()


class _Report:
    """Reports on a call to the server, at most a few times a second.

    Args:
        number: the call.
    """

    def __init__(self, server: _Server, number: int) -> None:
        self._server = server
        self._number = number
        self._thread = threading.get_ident()
        self._last = time.monotonic()
        self._has_waited = False

    def progress(self) -> None:
        """Report that the call advances."""
        if (now := time.monotonic()) - self._last >= _SECONDS_BETWEEN_REPORTS:
            self._last = now
            self._server.send(Progress(self._number))

    def waiting(self) -> None:
        """Report that the call waits; the worker is free for another one unless threads of this call still work."""
        if not self._has_waited and threading.get_ident() == self._thread:
            self._has_waited = True
            self._server.send(Waiting(self._number))
        CANCELLATION.check()


def work(pipe: Connection, warm: Warm | None, workers: int) -> None:
    """Main function of a worker process: execute calls until the server ends.

    Exclusive calls are executed in the main thread, where a training receives signals, others in a thread each. The
    first call must be exclusive: it waits until the process is warm.

    Args:
        pipe: the worker's end of the pipe; see `api.worker_messages`.
        warm: called first.
        workers: the number of worker processes of the service.
    """
    sigterm = SigtermHandler(USAGE.write)
    MODEL_CACHE.workers = workers

    def answer(call: Call) -> None:
        with contextlib.suppress(OSError):  # the server has ended
            sigterm.wait_if_terminating()
            server.send(Started(call.number))
            report = _Report(server, call.number)
            is_cancelled = functools.partial(server.is_cancelled, call.number)
            with CANCELLATION.source(is_cancelled, report.progress), on_waiting(report.waiting), one_request():
                content = _execute(call.content)
            server.send(Answer(call.number, content))

    server = _Server(pipe, _Threads(answer).start)
    with contextlib.suppress(KeyboardInterrupt):
        if warm is not None:
            warm()
        for call in server.calls():
            answer(call)


def _execute(content: bytes) -> bytes:
    """Execute a pickled call: its result and exception, pickled."""
    result, failure = None, None
    try:
        function, arguments = pickle.loads(content)  # nosec B301: from the server, our parent
        CANCELLATION.check()
        result = function(*arguments)
    except Exception as error:
        failure = error
    try:
        return pickle.dumps((result, failure))
    except Exception as error:
        return pickle.dumps((None, InternalError(f"the result cannot be pickled: {error!r}")))
