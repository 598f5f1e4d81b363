"""`topgraft models`: list, show, promote, remove and track trained models."""

import dataclasses
import sys
from typing import Any

import click
from click.core import ParameterSource

from model.cli import leaderboard as leaderboards
from model.cli.comparison import confident_option, max_regression_option, metric_option
from model.cli.options import PathOrRemote, config_options, current_workspace, json_option, workspace_option
from model.cli.output import accuracy_line, confirm, print_json, print_line, print_lines
from model.cli.promoting import promote_if_better
from model.cli.trainings import cancel_training, training_line, training_row, watch_training
from model.config import TrainConfig
from model.dataset import DATASET_OPTIONS
from model.errors import ConfigError, ModelDamagedError
from model.measurements import PHOTOS_OF
from model.promotion import promote, roll_back
from model.registry import Registry, find_bundle, model_names, remove_bundle
from model.runs import interrupted_trainings, remove_interrupted, unfinished_trainings
from model.shown import counted, printable
from model.workspace import Workspace

leaderboard_option = click.option(
    "--leaderboard",
    is_flag=True,
    help="Rank the models of each dataset by accuracy, with interval, photos, seconds, size and ms per photo.",
)


@click.group(invoke_without_command=True, short_help="Manage trained models and trainings.")
@leaderboard_option
@json_option
@workspace_option
@click.pass_context
def models(context: click.Context, leaderboard: bool, as_json: bool) -> None:
    """List, show, promote and remove trained models; watch and cancel trainings. Default: list."""
    if context.invoked_subcommand is None:
        context.invoke(list_models, leaderboard=leaderboard, as_json=as_json)
    elif leaderboard:
        raise click.UsageError("--leaderboard: expected after the subcommand: topgraft models list --leaderboard")
    elif as_json:
        raise click.UsageError("--json: expected after the subcommand, such as: topgraft models list --json")


models.add_command(watch_training)
models.add_command(cancel_training)


@models.command("list", short_help="List models and unfinished trainings.")
@leaderboard_option
@json_option
@workspace_option
def list_models(leaderboard: bool, as_json: bool) -> None:
    """List the trained models, oldest first; then running, queued and interrupted trainings."""
    workspace = current_workspace()
    if leaderboard:
        _rank(workspace, as_json)
        return
    latest = Registry().latest(workspace)
    promoted = latest.name if latest.promoted else None
    rows = [_row(workspace, name) | {"promoted": name == promoted} for name in model_names(workspace)]
    trainings = unfinished_trainings(workspace)
    for warning in latest.warnings:
        print_line(warning, err=True)
    if as_json:
        print_json(rows + [training_row(status) for status in trainings])
    elif not rows and not trainings:
        print_line(f"No trained models in {workspace.models}. Train one: topgraft train --dataset FOLDER")
    else:
        described = [(printable(row["name"]), _described(row)) for row in rows]
        described += [(printable(status.name), training_line(status)) for status in trainings]
        width = max(len(name) for name, _ in described)
        print_lines(f"{name:<{width}}  {text}" for name, text in described)


@models.command("show")
@click.argument("name", metavar="MODEL")
@json_option
@workspace_option
def show_model(name: str, as_json: bool) -> None:
    """Show the classes, backbone, data and metrics of a model. MODEL is a name, or latest."""
    bundle = find_bundle(current_workspace(), name)
    bundle.verify()
    manifest = dataclasses.asdict(bundle.manifest) | {"name": bundle.name, "path": bundle.directory}
    shown = manifest | {"intensity": bundle.manifest.intensity}
    if as_json:
        print_json(manifest)
        return
    print_line(f"{bundle.name}  {bundle.directory}")
    for key in ("created", "backbone", "image_size", "resize", "intensity", "engine", "precision", "temperature"):
        print_line(f"  {key}: {shown[key]}")
    print_line(f"  classes: {', '.join(bundle.manifest.classes)}")
    for split, metrics in bundle.manifest.metrics.items():
        print_line(f"  {split}: {accuracy_line(metrics)}")
    for file, record in bundle.manifest.files.items():
        print_line(f"  {file}: {record.size:,} bytes")


@models.command("promote", short_help="Make a model the latest model.")
@click.argument("names", metavar="MODEL...", nargs=-1, required=True)
@click.option(
    "--if-better",
    metavar="DATASET",
    help="Promote only if MODEL is better than latest on these photos; see topgraft compare.",
)
@metric_option
@max_regression_option
@confident_option
@config_options(TrainConfig, only=DATASET_OPTIONS)
@click.option("--output", metavar="DIR", type=PathOrRemote(), help="Folder for the files of the comparison.")
@json_option
@workspace_option
def promote_model(names: tuple[str, ...], if_better: str | None, as_json: bool, **options: Any) -> None:
    """Make MODEL the latest model, even if others are trained later, until a rollback.

    A running service uses MODEL from the next prediction on. With --if-better, MODEL is promoted if it
    is better than latest by more than chance on all photos, and loses no more than --max-regression,
    by default nothing, on photos of classes that both know. Otherwise it is not used, and the exit
    status is 6: latest stays the model that it was compared with, which is promoted if MODEL would be
    latest as the newest model. The first model of a workspace is promoted. Of several MODELs, the best
    is promoted.
    """
    workspace = current_workspace()
    bundles = list({bundle.name: bundle for bundle in (find_bundle(workspace, name) for name in names)}.values())
    for bundle in bundles:
        bundle.verify()
    if if_better is not None:
        promote_if_better(workspace, bundles, if_better, as_json, **options)
        return
    if len(bundles) > 1:
        raise click.UsageError("expected one MODEL, or --if-better DATASET to promote the best of several.")
    [bundle] = bundles
    context = click.get_current_context()
    # Also those that are typed with the value of their default.
    if typed := [name for name in options if context.get_parameter_source(name) == ParameterSource.COMMANDLINE]:
        given = ", ".join(f"--{name.replace('_', '-')}" for name in typed)
        raise click.UsageError(f"{given}: expected together with --if-better DATASET, received without it.")
    promote(workspace, bundle.name)
    print_line(f"latest is now {bundle.name}. Undo with: topgraft models rollback", err=True)
    if as_json:
        print_json({"latest": bundle.name, "promoted": True})


@models.command("rollback")
@json_option
@workspace_option
def roll_back_promotion(as_json: bool) -> None:
    """Revert the last promotion.

    latest is then the previously promoted model, or the newest model if there is none.
    """
    workspace = current_workspace()
    roll_back(workspace)
    latest = Registry().latest(workspace)
    reason = "the previous promotion" if latest.promoted else "the newest model: none is promoted"
    print_line(f"latest is now {latest.name or 'no model'}, {reason}.", err=True)
    for warning in latest.warnings:
        print_line(warning, err=True)
    if as_json:
        print_json({"latest": latest.name, "promoted": latest.promoted})


@models.command("remove", short_help="Delete models or interrupted trainings.")
@click.argument("names", metavar="MODEL...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
@workspace_option
def remove_models(names: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete trained models, or the checkpoints of interrupted trainings, permanently."""
    workspace = current_workspace()
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("cannot ask for confirmation without a terminal: add --yes.")
    for name in names:
        _require(workspace, name)
    if not yes:
        confirm(f"Delete {', '.join(names)} permanently?")
    for name in names:
        if not remove_interrupted(workspace, name):
            remove_bundle(workspace, name)
        print_line(f"Removed {name}.", err=True)
    if as_json:
        print_json({"removed": list(names)})


@models.command("track", short_help="Log a trained model to MLflow.")
@click.argument("name", metavar="MODEL")
@json_option
@workspace_option
def track_model(name: str, as_json: bool) -> None:
    """Log a trained model to the MLflow server in MLFLOW_TRACKING_URI. MODEL is a name, or latest.

    Use it if the server was down at the end of the training. A model has one run, however often it is
    logged.
    """
    bundle = find_bundle(current_workspace(), name)
    from model.tracking.experiment_tracking import log_model, tracking_server

    server = tracking_server()
    if server is None:
        raise ConfigError("MLFLOW_TRACKING_URI: expected the address of an MLflow server, received none. Set it.")
    run = log_model(bundle.directory, server).run()
    if as_json:
        print_json(dataclasses.asdict(run))
    else:
        print_line(f"{bundle.name} is version {run.version} of {run.registered_model}: {run.url}")


def _rank(workspace: Workspace, as_json: bool) -> None:
    ranked = leaderboards.leaderboard(workspace)
    if as_json:
        print_json([dataclasses.asdict(model) for model in ranked])
    elif not ranked:
        print_line(f"No trained models in {workspace.models}. Train one: topgraft train --dataset FOLDER")
    else:
        print_lines(leaderboards.leaderboard_lines(ranked))


def _require(workspace: Workspace, name: str) -> None:
    """Raise ModelNotFoundError if neither a model nor an interrupted training has this name."""
    interrupted = [status.name for status in interrupted_trainings(workspace)]
    if name not in (*model_names(workspace), *interrupted):
        find_bundle(workspace, name)


def _row(workspace: Workspace, name: str) -> dict[str, Any]:
    try:
        manifest = find_bundle(workspace, name).manifest
    except ModelDamagedError as error:
        return {"name": name, "status": "damaged", "message": error.message}
    return {
        "name": name,
        "status": "whole",
        "created": manifest.created,
        "backbone": manifest.backbone,
        "classes": len(manifest.classes),
        **manifest.leading_summary,
    }


def _described(row: dict[str, Any]) -> str:
    if row["status"] == "damaged":
        return f"damaged: {row['message']}"
    accuracy = "accuracy not measured"
    if row["accuracy"] is not None:
        accuracy = accuracy_line(row, PHOTOS_OF[row["measured_by"]])
    promoted = ", promoted: this is latest" if row["promoted"] else ""
    return f"{row['backbone']}, {counted(row['classes'], 'class')}, {accuracy}, {row['created']}{promoted}"
