"""`topgraft train` and `topgraft resume`: from a dataset to a trained model."""

from pathlib import Path
from typing import Any

import click

from model.cli.options import (
    config_file_option,
    config_options,
    current_workspace,
    json_option,
    resolve,
    workspace_option,
)
from model.cli.output import accuracy_line, print_json, progress_display
from model.cli.tuning_table import show_tuning
from model.config import TrainConfig
from model.training_result import ImportResult, TrainingResult


@click.command()
@config_options(TrainConfig)
@config_file_option
@json_option
@workspace_option
def train(config_file: Path | None, as_json: bool, **typed: Any) -> None:
    """Train a model on labelled photos.

    The model appears in models/ when it is whole. Every option may also stand in a file given
    by --config; the command line wins over the file.
    """
    config = resolve(TrainConfig, typed, config_file)
    workspace = current_workspace()
    from model.runs.trainer import train as run_training

    with progress_display() as progress:
        result = run_training(config, workspace, progress)
    _show(result, as_json)


@click.command()
@click.argument("name", metavar="NAME")
@json_option
@workspace_option
def resume(name: str, as_json: bool) -> None:
    """Go on with an interrupted training, to the result it would have had.

    `topgraft models list` shows which trainings were interrupted.
    """
    workspace = current_workspace()
    from model.runs.trainer import resume as resume_training

    with progress_display() as progress:
        result = resume_training(name, workspace, progress)
    _show(result, as_json)


def _show(result: TrainingResult, as_json: bool) -> None:
    if as_json:
        print_json(result.to_json())
    else:
        show_training(result)


def show_training(result: TrainingResult) -> None:
    """Write the result of a training to the terminal, with the table of its search where it had one."""
    if result.tuning is not None:
        show_tuning(result.tuning)
    click.echo("\n".join(training_lines(result)))


def training_lines(result: TrainingResult) -> list[str]:
    """The result of a training, for a terminal."""
    lines = [f"Warning: {warning}" for warning in result.warnings]
    lines += [f"{remark[0].upper()}{remark[1:]}" for remark in result.remarks]
    verb = "Imported" if isinstance(result, ImportResult) else "Trained"
    lines.append(f"{verb} {result.model} in {result.seconds:.0f} s: {result.path}")
    for measurement, metrics in result.metrics.items():
        lines.append(f"  {measurement}: {accuracy_line(metrics)}")
    if result.upload is not None:
        lines.append(f"  sent to {result.upload.place}, sha256 {result.upload.sha256}")
    if result.mlflow is not None:
        lines.append(f"  MLflow: {result.mlflow.url}")
    return lines
