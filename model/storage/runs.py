"""rclone as a process: started by a list of arguments, never by a shell; watched by its log; ended with us.

Its output goes to a caller block by block, its log (`--use-json-log`) tells how far it is and why it failed. A process
that neither sends nor logs any progress for a while is ended. Whatever ends the caller, an exception or kill -9, ends
it.
"""

import contextlib
import json
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from model.environment import STORAGE_SECONDS
from model.errors import StorageUnreachableError
from model.processes import start_child
from model.storage.failures import failure
from model.storage.settings import rclone_program

_BLOCK = 1 << 20
_LOG_FLAGS = ("--use-json-log", "--stats", "1s", "--stats-log-level", "NOTICE")
_WORTH_READING = ("error", "critical")
_MOVES = ("bytes", "checks", "transfers", "listed", "deletes", "renames")
_SECONDS_TO_END = 2.0

Take = Callable[[bytes], object]
Tell = Callable[[dict[str, Any]], object]


def run_rclone(doing: str, arguments: Sequence[str], take: Take | None = None, tell: Tell | None = None) -> bytes:
    """Run rclone to its end.

    Args:
        doing: what for, such as "list rshare:photos"; for messages.
        arguments: its command, options and places; a secret does not belong there, for every user of the machine
            can read them.
        take: called with each block of its standard output; None collects it.
        tell: called with rclone's statistics once a second: bytes, totalBytes, transfers, speed ...

    Returns:
        Its standard output; empty where `take` was given it.

    Raises:
        StorageError: of the class that its messages tell, see `model.storage.failures`.
        StorageUnreachableError: nothing moved for `TOPGRAFT_STORAGE_SECONDS` (default 300).
        StorageSettingsError: rclone is not installed.
    """
    collected: list[bytes] = []
    log = _Log(tell)
    with _started([rclone_program(), *arguments, *_LOG_FLAGS]) as child:
        _read(child, take or collected.append, log, doing)
        if child.wait() != 0:
            handled = [argument for argument in arguments if not argument.startswith("-")]
            raise failure(doing, log.errors or log.notices, [*handled, *log.names])
    return b"".join(collected)


class _Log:
    """Lines of rclone's log."""

    def __init__(self, tell: Tell | None) -> None:
        self.errors: list[str] = []
        self.notices: list[str] = []
        self.names: set[str] = set()
        self._tell = tell
        self._begun = b""
        self._moved: tuple[Any, ...] = ()

    def add(self, content: bytes) -> bool:
        """Read what was logged; whether it tells of any progress."""
        *lines, self._begun = (self._begun + content).split(b"\n")
        return any([self._line(line) for line in lines])

    def _line(self, line: bytes) -> bool:
        try:
            record = json.loads(line)
        except ValueError:
            self.notices.append(line.decode(errors="replace"))
            return False
        if record.get("level") in _WORTH_READING:
            self.names.add(str(record.get("object", "")))
            self.errors.append(str(record.get("msg", "")))
        elif "stats" not in record:
            self.notices.append(str(record.get("msg", "")))
        else:
            if self._tell is not None:
                self._tell(record["stats"])
            moved = tuple(record["stats"].get(name) for name in _MOVES)
            changed, self._moved = moved != self._moved, moved
            return changed
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


def _read(child: "subprocess.Popen[bytes]", take: Take, log: _Log, doing: str) -> None:
    """Hand on what comes, until both ends are closed."""
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
                moved = log.add(content) if key.fileobj is child.stderr else take(content) or bool(content)
                deadline = time.monotonic() + seconds if moved else deadline
            if time.monotonic() > deadline:
                raise StorageUnreachableError(
                    f"{doing}: nothing moved for {seconds:g} s ({STORAGE_SECONDS.name}). See that the server answers."
                )
