"""Unfinished trainings, usually of other processes: show, watch and cancel them."""

import time
from typing import Any

import click

from model.cli.options import current_workspace, json_option, workspace_option
from model.cli.output import print_json, print_line, progress_display
from model.errors import TrainingError, TrainingStoppedError
from model.registry import find_bundle
from model.results import ACTIVE_STATES, TrainingStatus
from model.runs.cancelling import cancel, find_training

_SECONDS_BETWEEN_CHECKS = 0.5


def training_row(status: TrainingStatus) -> dict[str, Any]:
    """Unfinished training as JSON; a stopped one includes the command that resumes it."""
    row = {"name": status.name, "status": status.state, "phase": status.phase, "message": status.message}
    if status.state == "queued":
        return row | {"place": status.place}
    if status.state == "running":
        keys = ("epoch", "epochs", "per_second", "unit", "eta_seconds", "metrics")
        return row | {key: getattr(status, key) for key in keys}
    return row | {"resume": f"topgraft resume {status.name}"}


def training_line(status: TrainingStatus) -> str:
    """Unfinished training as one line of text."""
    if status.state == "queued":
        return f"queued: position {status.place}"
    if status.state == "running":
        left = f"{status.eta_seconds:.0f} s left" if status.eta_seconds is not None else ""
        steps = f"running: {status.phase} {status.epoch}/{status.epochs}"
        return ", ".join(part for part in (steps, _rate(status), left) if part)
    return f"{status.state} in {status.phase}; to resume: topgraft resume {status.name}"


@click.command("watch", short_help="Show the progress of a training of another process.")
@click.argument("name", metavar="NAME")
@workspace_option
def watch_training(name: str) -> None:
    """Show the progress of a training of another process, such as the service, until it ends."""
    workspace = current_workspace()
    with progress_display() as progress:
        while (status := find_training(workspace, name)) is not None and status.state in ACTIVE_STATES:
            if status.state == "queued":
                progress(f"queued, position {status.place}", 0, 1)
            else:
                progress(status.phase, status.epoch, status.epochs, **status.metrics | status.pace)
            time.sleep(_SECONDS_BETWEEN_CHECKS)
    if status is not None:
        command = f"topgraft resume {name}"
        message = f"{name} is {status.state}: {status.message}"
        ended = TrainingError if status.state == "failed" else TrainingStoppedError
        raise ended(message if command in message else f"{message} To resume: {command}")
    bundle = find_bundle(workspace, name)
    print_line(f"{name} is trained: {bundle.directory}")


@click.command("cancel", short_help="Cancel a running or queued training.")
@click.argument("name", metavar="NAME")
@json_option
@workspace_option
def cancel_training(name: str, as_json: bool) -> None:
    """Cancel a running or queued training of another process within five seconds; it can be resumed."""
    status = cancel(current_workspace(), name)
    if as_json:
        print_json(training_row(status))
    else:
        print_line(f"{name}  {training_line(status)}")


def _rate(status: TrainingStatus) -> str:
    return f"{status.per_second:.3g} {status.unit}/s" if status.per_second is not None else ""
