"""Queue of trainings: at most TOPGRAFT_MAX_TRAININGS run at a time, others are refused or wait."""

import dataclasses
import logging
import os
import time

from model.environment import MAX_QUEUED, MAX_TRAININGS
from model.errors import TrainingBusyError
from model.results import ACTIVE_STATES, TrainingStatus
from model.runs.listing import queued_trainings, running_trainings
from model.runs.run import Run, lock_workspace
from model.workspace import Workspace

_SECONDS_BETWEEN_CHECKS = 1.0

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class QueuePolicy:
    """Whether a training is queued if it cannot run at once.

    Attributes:
        wait: queue the training instead of refusing it.
        max_queued: maximum number of queued trainings; None for any number.
    """

    wait: bool = False
    max_queued: int | None = None


ALWAYS = QueuePolicy(wait=True)
"""Policy of a training resumed automatically: it is never refused."""


def command_policy(wait: bool) -> QueuePolicy:
    """Policy of the command, which has its own process: any number, unless TOPGRAFT_MAX_QUEUED is set."""
    return QueuePolicy(wait, MAX_QUEUED.read())


def service_policy(wait: bool) -> QueuePolicy:
    """Policy of the service, where a queued training occupies a worker: none, unless TOPGRAFT_MAX_QUEUED is set."""
    return QueuePolicy(wait, MAX_QUEUED.read() or 0)


def first_status(status: TrainingStatus, workspace: Workspace, policy: QueuePolicy) -> TrainingStatus:
    """First status of a training: running if the maximum is not reached, otherwise queued.

    The caller holds the lock of the workspace.

    Raises:
        TrainingBusyError: the maximum number of trainings is running, and the policy or its limit forbids queueing.
    """
    running, waiting = _active_trainings(workspace), queued_trainings(workspace)
    allowed = MAX_TRAININGS.read()
    if len(running) + len(waiting) < allowed:
        return dataclasses.replace(status, state="running", phase="start", place=0, ticket=0)
    if not policy.wait:
        raise TrainingBusyError(f"{_found(allowed, running, waiting)} {_ADVICE}")
    if policy.max_queued is not None and len(waiting) >= policy.max_queued:
        raise TrainingBusyError(
            f"{_found(allowed, running, waiting)} queue: at most {policy.max_queued} trainings may be queued in the "
            "service, because each occupies a worker. Raise TOPGRAFT_MAX_QUEUED and the number of workers, or use the "
            "command: topgraft train --queue"
        )
    ticket = 1 + max((other.ticket for other in waiting), default=0)
    return dataclasses.replace(status, state="queued", phase="queued", place=len(waiting) + 1, ticket=ticket)


def wait_in_queue(run: Run, workspace: Workspace) -> None:
    """Wait until a queued training may run, in order of arrival."""
    reported = ""
    while ahead := _start_or_update(run, workspace):
        names = ", ".join(status.name for status in ahead)
        if names != reported:
            log.info("%s is queued after %s", run.name, names)
            reported = names
        time.sleep(_SECONDS_BETWEEN_CHECKS)


def _start_or_update(run: Run, workspace: Workspace) -> list[TrainingStatus]:
    """Start a queued training if the maximum is not reached; return the trainings ahead of it otherwise."""
    status = run.status
    if status.state != "queued":
        return []
    with lock_workspace(workspace):
        running = _active_trainings(workspace)
        ahead = [other for other in queued_trainings(workspace) if other.ticket < status.ticket]
        if len(running) + len(ahead) < MAX_TRAININGS.read():
            started = dataclasses.replace(status, state="running", phase="start", pid=os.getpid(), place=0, ticket=0)
            run.write_status(started)
            return []
    current = dataclasses.replace(status, place=len(ahead) + 1, pid=os.getpid())
    if current != status:
        run.write_status(current)
    return [*running, *ahead]


def _active_trainings(workspace: Workspace) -> list[TrainingStatus]:
    """Running trainings; one that has recorded its end frees its memory within moments."""
    return [status for status in running_trainings(workspace) if status.state in ACTIVE_STATES]


_ADVICE = (
    "Wait until one ends, cancel it (topgraft models cancel NAME), queue this one (option queue), or raise "
    "TOPGRAFT_MAX_TRAININGS."
)


def _found(allowed: int, running: list[TrainingStatus], waiting: list[TrainingStatus]) -> str:
    names = [f"{status.name} ({status.phase})" for status in (*running, *waiting)]
    return f"expected fewer than {allowed} running or queued trainings, found {len(names)}: {', '.join(names)}."
