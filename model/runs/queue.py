"""Whose turn it is: at most TOPGRAFT_MAX_TRAININGS run at a time, the others are refused or wait in line."""

import dataclasses
import logging
import os
import time

from model.environment import MAX_QUEUED, MAX_TRAININGS
from model.errors import TrainingBusyError
from model.results import ACTIVE_STATES, TrainingStatus
from model.runs.folder import Reservation, exclusive_workspace
from model.runs.listing import queued_trainings, running_trainings
from model.workspace import Workspace

_SECONDS_BETWEEN_LOOKS = 1.0

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Line:
    """Whether a training may wait in line, and how many may at most.

    Attributes:
        wait: whether it would rather wait than be refused.
        most: how many may wait; None for any number.
    """

    wait: bool = False
    most: int | None = None


ALWAYS = Line(wait=True)
"""Of a training that nobody waits for: it is never refused."""


def line_of_a_command(wait: bool) -> Line:
    """In a process of its own nobody else is kept waiting: any number, unless TOPGRAFT_MAX_QUEUED says otherwise."""
    return Line(wait, MAX_QUEUED.read())


def line_of_the_service(wait: bool) -> Line:
    """A waiting training keeps a worker of the service busy: none may, unless TOPGRAFT_MAX_QUEUED says otherwise."""
    return Line(wait, MAX_QUEUED.read() or 0)


def queue_or_run(status: TrainingStatus, workspace: Workspace, line: Line) -> TrainingStatus:
    """The first status of a training: running where there is room, else queued at the end of the line.

    Call it under the lock of the workspace.

    Raises:
        TrainingBusyError: there is no room, and it may not or will not wait.
    """
    running, waiting = _taking_room(workspace), queued_trainings(workspace)
    allowed = MAX_TRAININGS.read()
    if len(running) + len(waiting) < allowed:
        return dataclasses.replace(status, state="running", phase="start", place=0, ticket=0)
    if not line.wait:
        raise TrainingBusyError(f"{_found(allowed, running, waiting)} {_ADVICE}")
    if line.most is not None and len(waiting) >= line.most:
        raise TrainingBusyError(
            f"{_found(allowed, running, waiting)} queue: at most {line.most} may wait in line here, since each keeps "
            "a worker of the service busy. Raise TOPGRAFT_MAX_QUEUED and the number of workers, or train by the "
            "command: topgraft train --queue"
        )
    ticket = 1 + max((other.ticket for other in waiting), default=0)
    return dataclasses.replace(status, state="queued", phase="queued", place=len(waiting) + 1, ticket=ticket)


def wait_for_turn(reservation: Reservation, workspace: Workspace) -> None:
    """Return when it is the training's turn: at once, unless it is queued. First come, first served."""
    told = ""
    while ahead := _take_turn(reservation, workspace):
        names = ", ".join(status.name for status in ahead)
        if names != told:
            log.info("%s waits for its turn, after %s", reservation.name, names)
            told = names
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _take_turn(reservation: Reservation, workspace: Workspace) -> list[TrainingStatus]:
    """Begin if there is room; else the trainings before this one."""
    status = reservation.status
    if status.state != "queued":
        return []
    with exclusive_workspace(workspace):
        running = _taking_room(workspace)
        ahead = [other for other in queued_trainings(workspace) if other.ticket < status.ticket]
        if len(running) + len(ahead) < MAX_TRAININGS.read():
            started = dataclasses.replace(status, state="running", phase="start", pid=os.getpid(), place=0, ticket=0)
            reservation.write_status(started)
            return []
    current = dataclasses.replace(status, place=len(ahead) + 1, pid=os.getpid())
    if current != status:
        reservation.write_status(current)
    return [*running, *ahead]


def _taking_room(workspace: Workspace) -> list[TrainingStatus]:
    """The trainings that run; one that has written how it ended gives its memory back within moments."""
    return [status for status in running_trainings(workspace) if status.state in ACTIVE_STATES]


_ADVICE = (
    "Wait until one ends, cancel it (topgraft models cancel NAME), let this one wait for its turn (queue), or raise "
    "TOPGRAFT_MAX_TRAININGS."
)


def _found(allowed: int, running: list[TrainingStatus], waiting: list[TrainingStatus]) -> str:
    names = [f"{status.name} ({status.phase})" for status in (*running, *waiting)]
    return f"expected fewer than {allowed} trainings to run or wait, found {len(names)}: {', '.join(names)}."
