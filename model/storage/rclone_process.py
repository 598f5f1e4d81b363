"""rclone as a child process, started with an argument list and never by a shell.

Its output is passed on block by block; its log (`--use-json-log`) gives the progress and the errors. A process without
output and progress for some time is ended. It also ends with its parent, by an exception as by kill -9.
"""

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from model.environment import STORAGE_SECONDS
from model.errors import StorageError, StorageUnreachableError
from model.processes import describe_exit, start_child
from model.reading import UnreadableError, parse_json, unreadable
from model.storage.failures import failure, is_about_failure, with_retries
from model.storage.settings import rclone_program

_BLOCK = 1 << 20
_LOG_FLAGS = ("--use-json-log", "--stats", "1s", "--stats-log-level", "NOTICE")
_ERROR_LEVELS = ("error", "critical")
_COUNTERS = ("bytes", "checks", "transfers", "listed", "deletes", "renames")
_SECONDS_TO_END = 2.0

Take = Callable[[bytes], object]
Report = Callable[[dict[str, Any]], object]


def run_rclone(action: str, arguments: Sequence[str], take: Take | None = None, report: Report | None = None) -> bytes:
    """Run rclone to its end.

    Args:
        action: verb phrase for messages, such as "list rshare:photos".
        arguments: command, options and paths; without secrets, because every user of the machine can read them.
        take: called with each block of the standard output; None collects it.
        report: called with rclone's statistics once a second: bytes, totalBytes, transfers, speed ...

    Returns:
        The standard output; empty if `take` received it.

    Raises:
        StorageError: class by rclone's messages, see `model.storage.failures`.
        StorageUnreachableError: no progress for `TOPGRAFT_STORAGE_SECONDS` (default 300).
        StorageSettingsError: rclone is not installed.
    """
    collected: list[bytes] = []
    log = _Log(report)
    with _started([rclone_program(), *arguments, *_LOG_FLAGS]) as child:
        _read(child, take or collected.append, log, action)
        if child.wait() != 0:
            handled = [argument for argument in arguments if not argument.startswith("-")]
            messages = log.errors or log.notices
            killed = [f"rclone {describe_exit(child.returncode)}"] if child.returncode < 0 else []
            raise failure(action, [*messages, *killed], [*handled, *log.names])
    return b"".join(collected)


def run_with_retries(action: str, arguments: Sequence[str], report: Report | None = None) -> bytes:
    """Run rclone as `run_rclone`, again while the storage is busy or silent; see `with_retries`."""
    return with_retries(lambda: run_rclone(action, arguments, report=report))


def parse_answer(content: bytes, action: str) -> Any:
    """Answer of rclone in JSON.

    Raises:
        StorageError: it is none.
    """
    try:
        return parse_json(content, file_names=True)
    except UnreadableError as error:
        raise StorageError(f"{action}: expected JSON from rclone, received: {error}. Try again.") from error


class _Log:
    """Parser of rclone's log."""

    def __init__(self, report: Report | None) -> None:
        self.errors: list[str] = []
        self.notices: list[str] = []
        self.names: set[str] = set()
        self._report = report
        self._unfinished_line = b""
        self._counters: tuple[Any, ...] = ()

    def add(self, content: bytes) -> bool:
        """Parse a part of the log; whether it shows any progress."""
        *lines, self._unfinished_line = (self._unfinished_line + content).split(b"\n")
        return any([self._line(line) for line in lines])

    def _line(self, line: bytes) -> bool:
        try:
            with unreadable():
                record = dict(parse_json(line, not_finite=True, file_names=True))
        except UnreadableError:
            self.notices.append(line.decode(errors="replace"))
            return False
        if record.get("level") in _ERROR_LEVELS:
            self.names.add(str(record.get("object", "")))
            if is_about_failure(text := str(record.get("msg", ""))):
                self.errors.append(text)
        elif "stats" not in record:
            self.notices.append(str(record.get("msg", "")))
        else:
            if self._report is not None:
                self._report(record["stats"])
            counters = tuple(record["stats"].get(name) for name in _COUNTERS)
            has_progress, self._counters = counters != self._counters, counters
            return has_progress
        return False


@contextlib.contextmanager
def _started(command: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    with start_child(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        try:
            yield child
        except BaseException:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_SECONDS_TO_END)
            child.kill()
            raise


def _read(child: "subprocess.Popen[bytes]", take: Take, log: _Log, action: str) -> None:
    """Read output and log until both are closed."""
    seconds = STORAGE_SECONDS.read()
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for stream in (child.stdout, child.stderr):
            assert stream is not None  # nosec B101: both are pipes
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                content = os.read(key.fd, _BLOCK)
                if not content:
                    selector.unregister(key.fileobj)
                has_progress = log.add(content) if key.fileobj is child.stderr else take(content) or bool(content)
                deadline = time.monotonic() + seconds if has_progress else deadline
            if time.monotonic() > deadline:
                raise StorageUnreachableError(
                    f"{action}: no progress for {seconds:g} s ({STORAGE_SECONDS.name}). Check that the server answers."
                )
