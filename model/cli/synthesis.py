"""`topgraft synthesize`: synthetic photos from cut-outs."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model import schema
from model.cli.options import (
    FiniteRange,
    PathOrRemote,
    TrainingCommand,
    config_options,
    current_workspace,
    json_option,
    workspace_option,
)
from model.cli.output import print_json, print_lines, progress_display
from model.config import TrainConfig
from model.dataset import DATASET_OPTIONS
from model.files.browsing import name_some
from model.received import quoted
from model.results import SPLITS
from model.storage.places import is_remote

if TYPE_CHECKING:
    from model.synthesis.synthesize import Synthesis

_DATASET_OPTIONS = tuple(name for name in DATASET_OPTIONS if name != "seed")


@click.command("synthesize", cls=TrainingCommand, short_help="Make synthetic photos of cut-outs for training.")
@click.argument("cutouts", metavar="CUTOUTS", type=PathOrRemote())
@click.argument("backgrounds", metavar="BACKGROUNDS", type=PathOrRemote())
@click.argument("directory", metavar="DIR", type=PathOrRemote())
@click.option(
    "--count",
    type=click.IntRange(0, 10_000_000),
    metavar="N",
    help="Number of synthetic photos of each class.  [default: 100; with --fill 0]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Fixes all random choices.")
@click.option(
    "--dataset",
    default="",
    metavar="PATH",
    help="Dataset of real photos, as for train; its photos are put into DIR with their splits.",
)
@click.option(
    "--fill",
    is_flag=True,
    help="Add as many photos as a class has fewer training photos than the largest class of --dataset.",
)
@click.option(
    "--margin",
    type=FiniteRange(0, 2),
    metavar="FRACTION",
    help="Cut each photo to its object, with this margin.  [default: that of the photos of --dataset if they are "
    "crops of import-labels, otherwise the whole scene]",
)
@click.option(
    "--whole", is_flag=True, help="Paste cut-outs without transparency as rectangles, instead of refusing them."
)
@config_options(TrainConfig, only=_DATASET_OPTIONS)
@json_option
@workspace_option
def synthesize_command(
    cutouts: Path,
    backgrounds: Path,
    directory: Path,
    count: int | None,
    seed: int,
    dataset: str,
    fill: bool,
    margin: float | None,
    whole: bool,
    as_json: bool,
    **typed: Any,
) -> None:
    """Make synthetic photos: cut-outs on backgrounds, in changing light, perspective and sharpness.

    CUTOUTS has a folder for each class, with pictures of objects on transparent ground.
    BACKGROUNDS is a folder of photos or videos, a video, or the word procedural for drawn scenes.
    DIR is the new dataset; with --dataset it has its real photos, too. Synthetic photos are used
    for training only, never for validation or test. origin.csv in DIR states the class, cut-out,
    background, box and seed of each.
    """
    if is_remote(str(directory)):
        raise click.UsageError(f"expected DIR to be a folder on this machine, received {quoted(str(directory))}")
    given = sorted(name.replace("_", "-") for name, value in typed.items() if value is not None)
    if not dataset and (fill or given):
        option = "fill" if fill else given[0]
        raise click.UsageError(f"--{option}: expected --dataset, the dataset of real photos, with it")
    if count == 0 and not fill:
        raise click.UsageError("--count: expected 1 or more photos, or --fill, received 0")
    config = schema.load(TrainConfig, typed, {"dataset": dataset, "seed": seed}) if dataset else None
    workspace = current_workspace()
    from model.synthesis.synthesize import DEFAULT_COUNT, SynthesisOptions, synthesize

    if count is None:
        count = 0 if fill else DEFAULT_COUNT
    options = SynthesisOptions(count, seed, fill, margin, whole)
    with progress_display() as progress:
        result = synthesize(str(cutouts), str(backgrounds), directory, options, workspace, config, progress)
    if as_json:
        print_json(result.to_json())
    else:
        print_lines(_lines(result))


def _lines(result: "Synthesis") -> list[str]:
    lines = [f"Warning: {warning}." for warning in result.warnings]
    if result.held_out:
        lines.append(
            f"Warning: left out {len(result.held_out):,} cut-outs or backgrounds that come from photos of val or test: "
            f"{name_some(result.held_out)}."
        )
    if result.unreadable:
        name, reason = next(iter(result.unreadable.items()))
        lines.append(f"Warning: {len(result.unreadable):,} backgrounds were not used, such as {name}: {reason}.")
    shape = "whole scenes" if result.margin is None else f"cut to the object with a margin of {result.margin:g}"
    total = sum(result.synthetic.values())
    lines.append(f"{result.dataset}: {total:,} synthetic photos on {result.backgrounds}, {shape}")
    for label in sorted({*result.synthetic, *(name for split in SPLITS for name in result.real.get(split, {}))}):
        real = ", ".join(f"{result.real[split].get(label, 0):,} {split}" for split in SPLITS if result.real)
        made = f"{result.synthetic.get(label, 0):,} synthetic"
        lines.append(f"  {label}: {f'{real} real; ' if real else ''}{made} train")
    following = f", then: topgraft train --dataset {shlex.quote(result.dataset)}" if result.real else ""
    lines.append(f"Check {result.dataset}/contact-sheet.jpg{following}")
    return lines
