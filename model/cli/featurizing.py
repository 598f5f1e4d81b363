"""`topgraft featurize`: features of many photos as Parquet files."""

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from model import schema
from model.cli.options import (
    TrainingCommand,
    check_engine_options,
    config_options,
    current_workspace,
    engine_options,
    json_option,
    workspace_option,
)
from model.cli.output import print_json, print_lines, progress_display
from model.config import ENGINES, NETWORK_OPTIONS, TrainConfig
from model.dataset import FEATURIZE_OPTIONS
from model.registry import find_bundle

if TYPE_CHECKING:
    from model.scale.featurize import FeaturizeResult


@click.command("featurize", cls=TrainingCommand, short_help="Write the features of many photos as Parquet files.")
@click.argument("source", metavar="SOURCE")
@click.argument("out", metavar="OUT")
@click.option(
    "--model", default="", metavar="MODEL", help="Trained model whose network is used, instead of a backbone."
)
@click.option(
    "--pca", "components", type=click.IntRange(1), metavar="K", help="Also write the first K principal components."
)
@engine_options("Where the work is done: on this machine, or on Apache Spark.", ENGINES[0])
@config_options(TrainConfig, only=(*NETWORK_OPTIONS, *FEATURIZE_OPTIONS))
@json_option
@workspace_option
def featurize_command(
    source: str,
    out: str,
    model: str,
    max_photos: int,
    components: int | None,
    engine: str,
    master: str,
    overwrite: bool,
    as_json: bool,
    **typed: Any,
) -> None:
    """Write the features of photos as Parquet files, in parts that survive an interruption.

    SOURCE is a dataset, a folder, a .txt file with a path on each line, or an address: s3://, gs://,
    hdfs:// or file://. OUT is a folder or an address: new, or of the same command, which is then
    resumed. A photo that cannot be read is a row with an error.
    """
    config = schema.load(TrainConfig, typed, {})
    given = [name for name in NETWORK_OPTIONS if typed.get(name) is not None]
    if model and given:
        raise click.UsageError(f"--{given[0].replace('_', '-')}: expected it without --model, whose own value is used.")
    check_engine_options(engine, master)
    from model.dataset.listing import LayoutOptions
    from model.scale.engines import started_engine
    from model.scale.featurize import featurize
    from model.scale.network import backbone_network, model_network
    from model.scale.source import SplitOptions

    network = model_network(find_bundle(current_workspace(), model)) if model else backbone_network(config)
    with progress_display() as progress, started_engine(engine, master) as run:
        result = featurize(
            source,
            out,
            network,
            SplitOptions.from_config(config),
            layout=LayoutOptions.from_config(config),
            max_photos=max_photos,
            components=components or 0,
            overwrite=overwrite,
            engine=run,
            progress=progress,
        )
    if as_json:
        print_json({"status": "OK", **dataclasses.asdict(result)})
    else:
        print_lines(_lines(result))


def _lines(result: "FeaturizeResult") -> list[str]:
    from model.shown import counted

    classes = f" of {counted(result.classes, 'class')}" if result.classes else ""
    lines = [f"{result.out}: {result.features:,} features of {counted(result.photos, 'photo')}{classes}"]
    lines.append(f"  {counted(result.parts, 'part')}, {result.written:,} of them written now")
    if result.errors:
        lines.append(f"  {counted(result.errors, 'photo')} could not be read: see the column error")
    total = 0.0
    for number, ratio in enumerate(result.pca, 1):
        total += ratio
        lines.append(f"  component {number}: {100 * ratio:.2f} % of the variance, {100 * total:.2f} % together")
    return lines
