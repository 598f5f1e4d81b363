"""`topgraft train` and `topgraft resume`: train a model on a dataset."""

from pathlib import Path
from typing import Any

import click

from model.cli.options import (
    TrainingCommand,
    config_file_option,
    config_options,
    current_workspace,
    json_option,
    resolve,
    workspace_option,
)
from model.cli.output import print_json, progress_display
from model.cli.training_results import show_training
from model.config import TrainConfig
from model.training_result import TrainingResult


@click.command(cls=TrainingCommand)
@config_options(TrainConfig)
@config_file_option
@json_option
@workspace_option
def train(config_file: Path | None, as_json: bool, **typed: Any) -> None:
    """Train a model on labelled photos.

    The model appears in models/ when it is complete. Options can also be set in the file given by
    --config; the command line overrides it.
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
    """Resume an interrupted training. The result is the same as without the interruption.

    `topgraft models list` shows interrupted trainings.
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
