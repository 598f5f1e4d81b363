"""Decoding in a child process that can be killed: a bound on the time and memory of a photo.

A decoder cannot be interrupted inside a thread. Photos that their header does not prove to be quick are therefore
decoded in child processes, which are started on demand, used for one photo after another, and end when they are idle.
"""

import contextlib
import json
import os
import pickle  # nosec B403: only to the child process
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeVar

import numpy as np

from model import errors
from model.dataset.decoding_turns import SECONDS_OF_A_TURN, Turns, count_stopped, is_request, time_limit
from model.dataset.intensity.value_distribution import ValueDistribution
from model.environment import PHOTO_SECONDS
from model.errors import ImageError, ImageTooSlowError
from model.processes import describe_exit, is_stopped, processor_seconds, python_command, python_environment
from model.reading import parse_json, without_number
from model.resources import available_processors
from model.results import InputSpec
from model.waiting import wait_until

MAX_MESSAGE_BYTES = 1 << 16
"""Maximum length of a message to or from a child process; images travel beside it, as files in memory."""

READY = b"ready"
"""First message of a child process."""

# A process that waits for a processor, because others use them, is not slow; but the wait for it ends at some time.
_MIN_PROCESSOR_FRACTION = 0.5
_MAX_EXTENSION = 6.0
_SECONDS_TO_START = 60.0
_SECONDS_TO_EXIT = 1.0
_SECONDS_STOPPED = 1.0
_NICENESS = 10
_MAX_ERROR_CHARACTERS = 2000

Answer = TypeVar("Answer")

Decoded = tuple[np.ndarray, ValueDistribution | None]
"""Pixels uint8 RGB (height, width, 3), and the distribution of the values of a photo with more than 8 bits."""

_Received = tuple[bytes, list[int]]


class Header(NamedTuple):
    """What the header of a photo states: maximum memory of decoding in bytes; size in pixels, upright."""

    memory: int
    height: int
    width: int


class _ProcessEndedError(Exception):
    """The child process ended without an answer; the message describes how."""


class DecodingProcess:
    """A child process that decodes one photo at a time; it ends with this process.

    Args:
        max_bytes: maximum memory for the data of the child, in bytes.
    """

    def __init__(self, max_bytes: int) -> None:
        self._is_ready = False
        self._socket, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        with child_end:
            # No shell, our own arguments. Its end is noticed by its socket, in whatever thread it was started.
            self._process = subprocess.Popen(
                python_command("model.dataset.decoding_child", max_bytes),
                stdin=child_end.fileno(),
                stdout=subprocess.DEVNULL,
                env=python_environment(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"),
            )

    def decode(self, content: bytes, spec: InputSpec | None, max_memory: int, seconds: float) -> Decoded:
        """Decode a photo as `model.dataset.images.decode_photo` does.

        Args:
            seconds: the time limit.

        Raises:
            ImageTooSlowError: decoding takes longer; the process must be closed.
            ImageError: as `decode_photo`.
            _ProcessEndedError: the process has ended.
        """
        return _read_pixels(*self._ask((False, spec, max_memory), content, seconds))

    def open(self, content: bytes, spec: InputSpec | None, max_memory: int, seconds: float) -> Header:
        """Read the header of a photo as `model.dataset.images.open_photo` does; arguments and errors as of `decode`."""
        return _read_header(*self._ask((True, spec, max_memory), content, seconds))

    def _ask(self, options: tuple[bool, InputSpec | None, int], content: bytes, seconds: float) -> _Received:
        try:
            self._wait_until_ready()
            limit = _TimeLimit(self._process.pid, seconds)
            send_with_file(self._socket, pickle.dumps(options), content)
            return self._receive(limit)
        except (OSError, EOFError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_SECONDS_TO_EXIT)
            raise _ProcessEndedError(describe_exit(self._process.returncode)) from error

    def restore_priority(self) -> bool:
        """Give the process the priority of this thread again; return whether the system allows it."""
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, os.getpriority(os.PRIO_PROCESS, 0))
        return os.getpriority(os.PRIO_PROCESS, self._process.pid) == os.getpriority(os.PRIO_PROCESS, 0)

    def close(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        self._socket.close()

    def _wait_until_ready(self) -> None:
        """Wait until a new process has imported its modules."""
        if self._is_ready:
            return
        try:
            self._receive(_TimeLimit(self._process.pid, _SECONDS_TO_START))
        except ImageTooSlowError as error:
            self.close()
            raise _ProcessEndedError(f"did not start within {_SECONDS_TO_START:g} s") from error
        self._is_ready = True

    def _receive(self, limit: "_TimeLimit") -> _Received:
        limit.wait(self._socket)
        message, files, *_ = socket.recv_fds(self._socket, MAX_MESSAGE_BYTES, 1)
        if not message:
            raise EOFError
        return message, files


class _TimeLimit:
    """A time limit for a process, which is longer while other processes keep it from running.

    Args:
        pid: the process.
        seconds: the limit; six times as long for a process that gets less than half of a processor.
    """

    def __init__(self, pid: int, seconds: float) -> None:
        self._pid, self._seconds = pid, seconds
        self._start, self._processor_start = time.monotonic(), processor_seconds(pid)

    def wait(self, connection: socket.socket) -> None:
        """Wait until the socket can be read, or is closed.

        Raises:
            ImageTooSlowError: the time is over.
        """
        poll = select.poll()
        poll.register(connection, select.POLLIN)

        def is_readable(seconds: float) -> bool:
            if poll.poll(1000 * seconds):
                return True
            if is_stopped(self._pid) and time.monotonic() - self._start > _SECONDS_STOPPED:
                raise _ProcessEndedError("was stopped by a signal and did not continue")
            if is_request() and time.monotonic() - self._start > SECONDS_OF_A_TURN:
                _lower_priority(self._pid)
            if self._is_over():
                raise ImageTooSlowError(
                    f"expected an image that can be decoded within {self._seconds:g} s, decoding took longer and was "
                    "stopped: save it again as a plain JPEG or PNG"
                )
            return False

        wait_until(is_readable)

    def _is_over(self) -> bool:
        elapsed = time.monotonic() - self._start
        if elapsed < self._seconds:
            return False
        used = processor_seconds(self._pid) - self._processor_start
        return used >= _MIN_PROCESSOR_FRACTION * self._seconds or elapsed >= _MAX_EXTENSION * self._seconds


def _lower_priority(pid: int) -> None:
    """Let other photos have the processors first."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS)


class DecodingProcesses:
    """Decoding processes that are reused, at most one per processor at the same time. Safe to use from threads.

    Requests take turns: see `model.dataset.decoding_turns`. While some wait, slow photos of others have up to as many
    processes besides.

    Args:
        max_bytes: see `DecodingProcess`.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._idle: list[DecodingProcess] = []
        self._turns = Turns(available_processors())

    def decode(
        self,
        content: bytes,
        spec: InputSpec | None,
        max_memory: int,
        reserved: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> Decoded:
        """Decode a photo as `model.dataset.images.decode_photo` does, within TOPGRAFT_PHOTO_SECONDS.

        Args:
            reserved: entered while the photo is decoded, once a process is free for it.

        Raises:
            ImageTooSlowError: decoding takes longer.
            ImageError: as `decode_photo`; or the process crashed or was killed.
            MemoryError: no process can be started at the moment.
        """

        def work(process: DecodingProcess, seconds: float) -> Decoded:
            with reserved():
                return process.decode(content, spec, max_memory, seconds)

        return self._ask(work)

    def open(self, content: bytes, spec: InputSpec | None, max_memory: int) -> Header:
        """Read the header of a photo as `model.dataset.images.open_photo` does; limit and errors as of `decode`."""
        return self._ask(lambda process, seconds: process.open(content, spec, max_memory, seconds))

    def _ask(self, work: Callable[[DecodingProcess, float], Answer]) -> Answer:
        seconds = time_limit(PHOTO_SECONDS.read())
        with self._turns.turn():
            # A process may have ended because it was idle: this is not the fault of the photo.
            while (used := self._next_idle()) is not None:
                with contextlib.suppress(_ProcessEndedError), self._returned(used):
                    return work(used, seconds)
            process = self._start()
            try:
                with self._returned(process):
                    return work(process, seconds)
            except _ProcessEndedError as error:
                raise ImageError(
                    f"expected an image that can be decoded, the process that decodes it {error}"
                ) from error

    def _start(self) -> DecodingProcess:
        try:
            return DecodingProcess(self._max_bytes)
        except OSError as error:
            # Too many processes or open files, or too little memory: not the fault of the photo.
            raise MemoryError(f"no process can be started to decode a photo: {without_number(error)}") from error

    def _next_idle(self) -> DecodingProcess | None:
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        return None

    @contextlib.contextmanager
    def _returned(self, process: DecodingProcess) -> Iterator[None]:
        """Keep the process for the next photo if it has answered, whether by pixels or an error; else kill it."""
        try:
            yield
        except BaseException as error:
            if isinstance(error, ImageTooSlowError):
                count_stopped()
            if isinstance(error, ImageTooSlowError) or not isinstance(error, ImageError):
                process.close()
            else:
                self._keep(process)
            raise
        self._keep(process)

    def _keep(self, process: DecodingProcess) -> None:
        with contextlib.suppress(OSError):
            if process.restore_priority():
                self._idle.append(process)
                return
        process.close()


def send_with_file(connection: socket.socket, message: bytes, content: bytes | memoryview) -> None:
    """Send a message, and content of any length as a file in memory, whose descriptor goes with the message."""
    descriptor = os.memfd_create("topgraft-photo")
    with open(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        socket.send_fds(connection, [message], [descriptor])


def send_answer(connection: socket.socket, answer: Decoded | Header | ImageError) -> None:
    """Send an answer of a child process: pixels, a header, or an error."""
    if isinstance(answer, Header):
        send_with_file(connection, json.dumps(answer._asdict()).encode(), b"")
        return
    if isinstance(answer, ImageError):
        described = {"error": type(answer).__name__, "message": answer.message[:_MAX_ERROR_CHARACTERS]}
        send_with_file(connection, json.dumps(described).encode(), b"")
        return
    pixels, values = answer
    distribution = values and {
        "dtype": values.dtype,
        "quantiles": values.quantiles.tolist(),
        "isolated": values.isolated,
    }
    message = json.dumps({"shape": pixels.shape, "values": distribution})
    send_with_file(connection, message.encode(), np.ascontiguousarray(pixels).data)


def _read_header(message: bytes, files: list[int]) -> Header:
    os.close(files[0])
    return Header(**_checked_answer(message))


def _checked_answer(message: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = parse_json(message, not_finite=True, file_names=True)
    if "error" in answer:
        raise getattr(errors, answer["error"])(answer["message"])
    return answer


def _read_pixels(message: bytes, files: list[int]) -> Decoded:
    with open(files[0], "rb") as stream:
        answer = _checked_answer(message)
        # Read, not mapped: the child could still shorten it.
        stream.seek(0)
        pixels = np.empty(answer["shape"], np.uint8)
        stream.readinto(pixels.reshape(-1).data)
    values = answer["values"]
    if values is None:
        return pixels, None
    lowest, highest = values["isolated"]
    return pixels, ValueDistribution(values["dtype"], np.array(values["quantiles"]), (lowest, highest))
