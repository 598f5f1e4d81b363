"""Cancelling a running or queued training, usually of another process."""

import os
import signal
import time

from model.errors import ConfigError, TrainingError
from model.processes import Process
from model.received import quoted
from model.registry import find_bundle
from model.results import ACTIVE_STATES, TrainingStatus
from model.runs.listing import process_of, unfinished_trainings
from model.workspace import Workspace

SECONDS_TO_CANCEL = 5.0


def cancel(workspace: Workspace, name: str) -> TrainingStatus:
    """Cancel a running or queued training within five seconds, and return its status; it can be resumed.

    Raises:
        ConfigError: there is none of that name, or it does not run on this machine.
        TrainingError: it has finished, or its process does not end.
    """
    deadline = time.monotonic() + SECONDS_TO_CANCEL
    process = Process.from_pid(_pid(workspace, name, deadline))
    os.kill(process.pid, signal.SIGTERM)
    if process.outlives(deadline - time.monotonic()):
        raise TrainingError(f"{name}: the process is still running {SECONDS_TO_CANCEL:.0f} s after SIGTERM.")
    status = find_training(workspace, name)
    if status is None:
        bundle = find_bundle(workspace, name)
        raise TrainingError(f"{name} finished before it could be cancelled: {bundle.directory}")
    return status


def find_training(workspace: Workspace, name: str) -> TrainingStatus | None:
    """Status of an unfinished training; None if there is none of that name."""
    return next((status for status in unfinished_trainings(workspace) if status.name == name), None)


def _pid(workspace: Workspace, name: str, deadline: float) -> int:
    """Process id of a running or queued training; waits for the id of one that is starting."""
    while True:
        status = find_training(workspace, name)
        if status is None or status.state not in ACTIVE_STATES:
            active = [one.name for one in unfinished_trainings(workspace) if one.state in ACTIVE_STATES]
            raise ConfigError(
                f"cancel: expected the name of a running or queued training, received {quoted(name)}. Available: "
                f"{', '.join(active) or 'none'}."
            )
        pid = process_of(workspace, status)
        if pid is not None:
            return pid
        if time.monotonic() > deadline:
            raise ConfigError(
                f"cancel: the process of {name} is not on this machine or in this container. Cancel it where it runs."
            )
        time.sleep(0.05)
