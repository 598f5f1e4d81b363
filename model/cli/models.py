"""`topgraft models`: the trained models, listed, shown and removed."""

import dataclasses
import sys
import time
from typing import Any

import click

from model.bundle import find_bundle, model_names, remove_bundle
from model.cli.options import current_workspace, json_option, workspace_option
from model.cli.output import accuracy_line, format_share, print_json, progress_display
from model.errors import ModelDamagedError, TrainingStoppedError
from model.results import TrainingStatus
from model.trainings import interrupted_trainings, remove_interrupted, running_trainings
from model.workspace import Workspace

_SECONDS_BETWEEN_LOOKS = 0.5


@click.group()
@workspace_option
def models() -> None:
    """List, show and remove trained models; watch a training."""


@models.command("list")
@json_option
@workspace_option
def list_models(as_json: bool) -> None:
    """List the trained models, oldest first; then trainings under way, and interrupted ones."""
    workspace = current_workspace()
    rows = [_row(workspace, name) for name in model_names(workspace)]
    rows += [_training_row(status) for status in running_trainings(workspace)]
    rows += [_training_row(status) for status in interrupted_trainings(workspace)]
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo(f"No trained models in {workspace.models} yet. Train one: topgraft train --dataset FOLDER")
    else:
        click.echo("\n".join(_table(rows)))


@models.command("show")
@click.argument("name", metavar="MODEL")
@json_option
@workspace_option
def show_model(name: str, as_json: bool) -> None:
    """Show what a model is: its classes, backbone, data and metrics. MODEL is a name, or latest."""
    bundle = find_bundle(current_workspace(), name)
    bundle.verify()
    manifest = dataclasses.asdict(bundle.manifest) | {"name": bundle.name, "path": bundle.directory}
    if as_json:
        print_json(manifest)
        return
    click.echo(f"{bundle.name}  {bundle.directory}")
    for key in ("created", "backbone", "image_size", "resize", "engine", "temperature"):
        click.echo(f"  {key}: {manifest[key]}")
    click.echo(f"  classes: {', '.join(bundle.manifest.classes)}")
    for split, metrics in bundle.manifest.metrics.items():
        click.echo(f"  {split}: {accuracy_line(metrics)}")
    for file, record in bundle.manifest.files.items():
        click.echo(f"  {file}: {record.size:,} bytes")


@models.command("watch")
@click.argument("name", metavar="NAME")
@workspace_option
def watch_training(name: str) -> None:
    """Follow a training that runs elsewhere, in the service say, until it ends."""
    workspace = current_workspace()
    with progress_display() as progress:
        while (status := _running(workspace, name)) is not None:
            progress(status.phase, status.epoch, status.epochs, **status.metrics)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    ended = {status.name: status for status in interrupted_trainings(workspace)}
    if name in ended:
        message = ended[name].message or "its process is gone."
        raise TrainingStoppedError(f"{name} was {ended[name].state}: {message} To go on: topgraft resume {name}")
    bundle = find_bundle(workspace, name)
    click.echo(f"{name} is trained: {bundle.directory}")


@models.command("remove")
@click.argument("names", metavar="MODEL...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@workspace_option
def remove_models(names: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete trained models, or what interrupted trainings left, for good."""
    workspace = current_workspace()
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("nobody is there to confirm the removal: add --yes.")
    for name in names:
        _require(workspace, name)
    if not yes:
        click.confirm(f"Delete {', '.join(names)} for good?", abort=True, err=True)
    for name in names:
        if not remove_interrupted(workspace, name):
            remove_bundle(workspace, name)
        click.echo(f"Removed {name}.", err=True)
    if as_json:
        print_json({"removed": list(names)})


def _running(workspace: Workspace, name: str) -> TrainingStatus | None:
    return next((status for status in running_trainings(workspace) if status.name == name), None)


def _require(workspace: Workspace, name: str) -> None:
    """Raise ModelNotFoundError unless there is a model, or an interrupted training, of that name."""
    interrupted = [status.name for status in interrupted_trainings(workspace)]
    if name not in (*model_names(workspace), *interrupted):
        find_bundle(workspace, name)


def _row(workspace: Workspace, name: str) -> dict[str, Any]:
    try:
        manifest = find_bundle(workspace, name).manifest
    except ModelDamagedError as error:
        return {"name": name, "status": "damaged", "message": error.message}
    measured = manifest.metrics.get("test") or manifest.metrics.get("val") or {}
    return {
        "name": name,
        "status": "whole",
        "created": manifest.created,
        "backbone": manifest.backbone,
        "classes": len(manifest.classes),
        "accuracy": measured.get("accuracy"),
    }


def _training_row(status: TrainingStatus) -> dict[str, Any]:
    row = {"name": status.name, "status": status.state, "phase": status.phase, "message": status.message}
    if status.state == "running":
        return row | {"epoch": status.epoch, "epochs": status.epochs, "eta_seconds": status.eta_seconds}
    return row | {"resume": f"topgraft resume {status.name}"}


def _table(rows: list[dict[str, Any]]) -> list[str]:
    width = max(len(row["name"]) for row in rows)
    return [f"{row['name']:<{width}}  {_described(row)}" for row in rows]


def _described(row: dict[str, Any]) -> str:
    if row["status"] == "damaged":
        return f"damaged: {row['message']}"
    if row["status"] == "running":
        return f"training: {row['phase']} {row['epoch']}/{row['epochs']}"
    if "resume" in row:
        return f"{row['status']} in {row['phase']}; to go on: {row['resume']}"
    accuracy = "accuracy not measured" if row["accuracy"] is None else f"accuracy {format_share(row['accuracy'])}"
    return f"{row['backbone']}, {row['classes']} classes, {accuracy}, {row['created']}"
