"""`topgraft tune`: search backbones and options for a dataset, and train a model with the best."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from model import durable
from model.cli.options import (
    PathOrRemote,
    TrainingCommand,
    check_output_file,
    config_file_option,
    config_options,
    current_workspace,
    json_option,
    resolve,
    workspace_option,
)
from model.cli.output import print_json, print_line, progress_display
from model.cli.training_results import show_training, show_tuning
from model.config import DEFAULT_TUNE_MINUTES, TrainConfig, options_of
from model.errors import ConfigError
from model.storage.copies import output_file
from model.training_result import TrainingResult, TuningResult

_OF_TUNING = ("resume", "tune_minutes", "tune_backbones")


@click.command(cls=TrainingCommand, short_help="Search backbones and options, then train the best.")
@click.option(
    "--minutes",
    "tune_minutes",
    metavar="NUMBER",
    help=f"Time limit of the search.  [default: {DEFAULT_TUNE_MINUTES:g}]",
)
@click.option(
    "--backbones",
    "tune_backbones",
    metavar="NAME,NAME",
    help="Backbones to try. Default: all whose weights are on this machine.",
)
@click.option("--no-train", "only_tune", is_flag=True, help="Print the table without training.")
@click.option(
    "--output",
    type=PathOrRemote(dir_okay=False),
    metavar="FILE",
    help="Write the selected options to this YAML file, for --config.",
)
@config_options(TrainConfig, only=[name for name in options_of(TrainConfig) if name not in _OF_TUNING])
@config_file_option
@json_option
@workspace_option
def tune(only_tune: bool, output: Path | None, config_file: Path | None, as_json: bool, **typed: Any) -> None:
    """Search backbones and options on your photos, show a table, and train the best.

    All options of `topgraft train` are accepted; those that you set are kept fixed. Resume an
    interrupted search with `topgraft resume NAME`; it uses the remaining time.
    """
    check_output_file("--output", output, (".yaml", ".yml"))
    config = resolve(TrainConfig, typed, config_file)
    if config.tune_minutes is None:
        config = dataclasses.replace(config, tune_minutes=DEFAULT_TUNE_MINUTES)
    workspace = current_workspace()
    from model.runs import trainer

    result: TrainingResult | TuningResult
    with progress_display() as progress:
        result = (trainer.tune if only_tune else trainer.train)(config, workspace, progress)
    if result.tuning is None:
        raise ConfigError(
            f"name: the model {config.name} exists and was trained without a search. Choose another name, or remove it "
            f"first: topgraft models remove {config.name}"
        )
    if output is not None:
        with output_file(output) as local:
            _write_options(local, result.tuning.chosen_options)
        print_line(f"Wrote the selected options to {output}. To use them: topgraft train --config {output}", err=True)
    if as_json:
        print_json(result.to_json())
    elif isinstance(result, TuningResult):
        show_tuning(result.tuning)
    else:
        show_training(result)


def _write_options(path: Path, options: dict[str, Any]) -> None:
    import yaml

    durable.write_text(path, yaml.safe_dump(options, sort_keys=False, allow_unicode=True))
