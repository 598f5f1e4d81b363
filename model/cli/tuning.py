"""`topgraft tune`: which backbone and which options suit a dataset, and a model trained with them."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from model import durable
from model.cli.options import (
    PathOrRemote,
    check_output_file,
    config_file_option,
    config_options,
    current_workspace,
    json_option,
    resolve,
    workspace_option,
)
from model.cli.output import print_json, progress_display
from model.cli.training import show_training
from model.cli.tuning_table import show_tuning
from model.config import TrainConfig, options_of
from model.errors import ConfigError
from model.storage.copies import output_file
from model.training_result import TrainingResult, TuningResult

_DEFAULT_MINUTES = 5.0
_OF_TUNING = ("resume", "tune_minutes", "tune_backbones")
# They say which training this is, not how a model is made.
_OF_ONE_TRAINING = ("name", "resume", "queue", "auto_resume", "preset", "tune_minutes", "tune_backbones")


@click.command()
@click.option(
    "--minutes", "tune_minutes", metavar="NUMBER", help=f"How long to search.  [default: {_DEFAULT_MINUTES:g}]"
)
@click.option(
    "--backbones",
    "tune_backbones",
    metavar="NAME,NAME",
    help="Which backbones to try. Default: those whose weights are on this machine.",
)
@click.option("--no-train", "only_tune", is_flag=True, help="Only show the table.")
@click.option(
    "--output",
    type=PathOrRemote(dir_okay=False),
    metavar="FILE",
    help="YAML file to write the chosen options to, for --config.",
)
@config_options(TrainConfig, only=[name for name in options_of(TrainConfig) if name not in _OF_TUNING])
@config_file_option
@json_option
@workspace_option
def tune(only_tune: bool, output: Path | None, config_file: Path | None, as_json: bool, **typed: Any) -> None:
    """Try backbones and options on your photos, show what each is worth, and train the best.

    Every option of `topgraft train` may be given: one that is not at its default stays as it is. Interrupted, it
    goes on with `topgraft resume NAME`, with the time that it had left.
    """
    check_output_file("--output", output, (".yaml", ".yml"))
    config = resolve(TrainConfig, typed, config_file)
    if config.tune_minutes is None:
        config = dataclasses.replace(config, tune_minutes=_DEFAULT_MINUTES)
    workspace = current_workspace()
    from model.runs import trainer

    result: TrainingResult | TuningResult
    with progress_display() as progress:
        result = (trainer.tune if only_tune else trainer.train)(config, workspace, progress)
    if result.tuning is None:
        raise ConfigError(
            f"name: {config.name} was trained already, and not tuned before. Choose another name, or remove that model "
            f"first: topgraft models remove {config.name}"
        )
    if output is not None:
        with output_file(output) as local:
            _write_options(local, result.tuning.options)
        click.echo(f"Wrote the chosen options to {output}: topgraft train --config {output}", err=True)
    if as_json:
        print_json(result.to_json())
    elif isinstance(result, TuningResult):
        show_tuning(result.tuning)
    else:
        show_training(result)


def _write_options(path: Path, options: dict[str, Any]) -> None:
    import yaml

    chosen = {name: value for name, value in options.items() if name not in _OF_ONE_TRAINING}
    durable.write_text(path, yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True))
