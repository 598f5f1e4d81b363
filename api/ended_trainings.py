"""Waiting until deleted trainings have ended, so that the answer to their deletion comes no sooner."""

import asyncio
import contextlib
from collections.abc import Iterable

from model.processes import Process

# DEEPaaS answers after five seconds at the latest.
_SECONDS_TO_END = 4.5
_SECONDS_BETWEEN_CHECKS = 0.05


def trainings_of(worker: int | None) -> list[Process]:
    """Processes of the trainings, running or queued, that a worker waits for.

    Args:
        worker: process ID of the worker.
    """
    found: list[Process] = []
    # Where the server cannot open another file, the answer does not wait.
    with contextlib.suppress(OSError):
        import psutil

        from model.runs import process

        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(worker).children():
                # One that has ended has no command line; those after it may run.
                with contextlib.suppress(psutil.Error):
                    if process.__name__ in child.cmdline():
                        found.append(Process.from_pid(child.pid))
    return found


async def wait_for_end(processes: Iterable[Process]) -> None:
    """Wait until processes have ended, for some seconds at most."""
    deadline = asyncio.get_running_loop().time() + _SECONDS_TO_END
    for process in processes:
        while process.is_alive() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_SECONDS_BETWEEN_CHECKS)
