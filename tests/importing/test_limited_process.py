"""The limits of the process that checks an import: time, memory, and its end by the system."""

import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from model.bundle import Bundle
from model.errors import ModelError
from model.importing import limited_process
from model.importing.limited_process import check_in_child
from model.processes import answer_parent, limit_memory, read_answer
from tests.support.processes import processes_below


def _checks() -> list[psutil.Process]:
    return processes_below(psutil.Process(), "limited_process")


def test_a_check_that_takes_too_long_is_ended_with_its_process(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limited_process, "_SECONDS_TO_CHECK", 0.01)
    with pytest.raises(ModelError, match=r"check of .*: expected to end within 0\.01 s, and was killed after that"):
        check_in_child(bundle.directory, tmp_path)
    assert _checks() == []


def _answer_of_child(work: Callable[[str], object]) -> bytes:
    """What a child process answers its parent."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            sys.stdout = os.fdopen(writing, "w")
            answer_parent(lambda: limited_process._explained(work, "pets"), "import of pets")
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as stream:
        content = stream.read()
    os.waitpid(child, 0)
    return content


def test_memory_beyond_the_limit_is_an_error_of_the_model() -> None:
    def work(name: str) -> int:
        used = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
        limit_memory(int(used.split()[1]) * 1024 + 100 * 1024**2)
        return len(bytearray(500 * 1024**2))

    with pytest.raises(ModelError, match=r"pets: expected a model.*needs more memory than there is"):
        read_answer(_answer_of_child(work))
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY


def test_endless_recursion_is_an_error_of_the_model() -> None:
    def work(name: str) -> object:
        return work(name)

    with pytest.raises(ModelError, match=r"pets: expected a model that can be checked.*nested too deep"):
        read_answer(_answer_of_child(work))


def test_a_check_that_the_system_ends_leaves_no_answer() -> None:
    def work(name: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ValueError):
        read_answer(_answer_of_child(work))


def test_the_limit_grows_with_the_files_of_the_model(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []

    class Limited(Exception):
        pass

    def stop(limit: int) -> None:
        limits.append(limit)
        raise Limited

    monkeypatch.setattr(limited_process, "limit_memory", stop)
    with pytest.raises(Limited):
        limited_process._check(str(bundle.directory), "")
    largest = max(path.stat().st_size for path in bundle.directory.rglob("*"))
    assert limits == [limited_process._BYTES_TO_CHECK + limited_process._COPIES * largest]
