"""Running things in processes of their own, and how much memory those take."""

import contextlib
import dataclasses
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import psutil

Result = TypeVar("Result")

MEGABYTE = 1e6


def program(name: str) -> str:
    """The path of a command installed beside this Python."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"expected the command {name} beside {sys.executable}. Install topgraft there.")
    return found


def in_fresh_process(function: Callable[..., Result], *arguments: object) -> Result:
    """The result of a module-level function, called in a new interpreter."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


@dataclasses.dataclass(frozen=True)
class Cost:
    """Wall time and processor time in seconds, and peak memory in MB, of a process."""

    seconds: float
    processor: float
    memory: float


def run_measured(command: Sequence[str | Path], **options: Any) -> Cost:
    """The cost of a command, including the processes that it has waited for; its peak is that of the largest of them.

    Args:
        options: those of `subprocess.Popen`; without pipes, which are not read.

    Raises:
        CalledProcessError: it fails.
    """
    started = time.perf_counter()
    process = subprocess.Popen(command, **options)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / MEGABYTE)


def stop_with_children(process: "subprocess.Popen[bytes]") -> None:
    """Ask a server to end, kill it after 10 seconds, and kill what it leaves behind."""
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


def peak_megabytes(pid: int | None = None) -> float:
    """The most memory that a process has ever had in RAM, without what its parent had before."""
    status = Path(f"/proc/{pid or os.getpid()}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    # A process that has just ended has no memory.
    return int(found[1]) * 1024 / MEGABYTE if found else 0.0


def tree_megabytes(process: psutil.Process) -> tuple[float, float]:
    """The memory of a process and all below it: proportional set size (shared pages divided), and RSS."""
    memory = [one.memory_full_info() for one in (process, *process.children(recursive=True))]
    return sum(one.pss for one in memory) / MEGABYTE, sum(one.rss for one in memory) / MEGABYTE


def tree_processor_seconds(process: psutil.Process) -> float:
    """The processor time that a process and all below it have taken so far; it says less of what else runs."""
    taken = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in taken)


def processes_below(root: psutil.Process, command: str) -> list[psutil.Process]:
    """The processes below another that run and whose command line contains a text."""
    found = []
    for process in root.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            # That of a process that has ended is empty.
            if command in " ".join(process.cmdline()):
                found.append(process)
    return found


class PeakWatcher:
    """Watches the peak of each process below another whose command line contains a text.

    Attributes:
        peaks: pid -> megabytes.
    """

    def __init__(self, root: psutil.Process, command: str) -> None:
        self.peaks: dict[int, float] = {}
        self._root, self._command = root, command
        self._stop = threading.Event()

    @contextlib.contextmanager
    def watching(self) -> Iterator["PeakWatcher"]:
        """Watch inside the `with` block."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            for child in processes_below(self._root, self._command):
                with contextlib.suppress(OSError):
                    self.peaks[child.pid] = max(self.peaks.get(child.pid, 0.0), peak_megabytes(child.pid))
