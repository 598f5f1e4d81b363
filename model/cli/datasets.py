"""`topgraft check`: what is in a dataset, and what is wrong with it."""

import tempfile
from pathlib import Path
from typing import Any

import click

from model import schema
from model.cli.options import config_options, current_workspace, json_option, workspace_option
from model.cli.output import print_json, progress_display
from model.config import TrainConfig

SPLIT_OPTIONS = ("val_fraction", "test_fraction", "group_pattern", "max_bad_fraction", "seed")
DATASET_OPTIONS = ("images_directory", *SPLIT_OPTIONS)


@click.command(short_help="Look for problems in a dataset.")
@click.argument("dataset", metavar="PATH")
@config_options(TrainConfig, only=DATASET_OPTIONS)
@json_option
@workspace_option
def check(dataset: str, as_json: bool, **typed: Any) -> None:
    """Look at a dataset as a training would, and say what is in it and what is wrong.

    PATH is a folder, a .zip or .tar archive, or a name inside data/. Every image is decoded once.
    """
    from model.dataset.prepare import prepare_dataset

    config = schema.load(TrainConfig, typed, {"dataset": dataset})
    source = current_workspace().find_dataset(config.dataset)
    with tempfile.TemporaryDirectory(prefix="topgraft-check-") as work_directory, progress_display() as progress:
        verdict = prepare_dataset(source, config, Path(work_directory), progress)
    if as_json:
        print_json(verdict.to_json())
    else:
        click.echo("\n".join(verdict.lines()))
