"""`topgraft check`: check a dataset and list problems."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model import schema
from model.augmentation import AUTO, augmentation_text, parse_augmentation
from model.cli.options import (
    PathOrRemote,
    check_output_file,
    config_options,
    current_workspace,
    json_option,
    workspace_option,
)
from model.cli.output import print_json, print_line, print_lines, progress_display
from model.config import TrainConfig
from model.dataset import DATASET_OPTIONS
from model.results import InputSpec
from model.storage.copies import output_file
from model.storage.places import is_remote

if TYPE_CHECKING:
    from model.dataset.verdict import Verdict

SHEET_FORMATS = (".png", ".jpg")


@click.command(short_help="Check a dataset and list problems.")
@click.argument("dataset", metavar="PATH")
@config_options(TrainConfig, only=DATASET_OPTIONS)
@config_options(TrainConfig, only=("folds", "intensity", "augmentation"))
@click.option(
    "--sheet",
    metavar="FILE",
    type=PathOrRemote(dir_okay=False),
    default=Path("augmentation.png"),
    help="File for the figure of augmented views, with --augmentation.  [default: augmentation.png]",
)
@json_option
@workspace_option
def check(dataset: str, sheet: Path, as_json: bool, **typed: Any) -> None:
    """Check a dataset as a training does, and list its content and problems.

    PATH is a folder, a .zip or .tar archive, a name inside data/, or remote:path. Every image is
    decoded once. With --augmentation, a figure shows augmented views of eight images as used in
    fine-tuning; if only the head is trained, auto means none.
    """
    check_output_file("--sheet", sheet, SHEET_FORMATS)
    from model.dataset.checked import checked_dataset

    config = schema.load(TrainConfig, typed, {"dataset": dataset})
    workspace = current_workspace()
    with progress_display() as progress, checked_dataset(config, workspace, "topgraft check", progress) as verdict:
        drawn = None if typed["augmentation"] is None else _draw_augmentation(verdict, config, sheet)
    if as_json:
        print_json(verdict.to_json() | ({"augmentation": drawn} if drawn else {}))
        return
    print_lines(verdict.lines(config.dataset if is_remote(config.dataset) else ""))
    if drawn:
        print_line(f"Augmentation: {drawn['operations'] or 'none'}")
        if drawn["operations"] and AUTO in config.augmentation:
            print_line("This applies to fine-tuning; for a head alone, auto is none.")
    if drawn and drawn["sheet"]:
        print_line(f"Views drawn: {drawn['sheet']}")


def _draw_augmentation(verdict: "Verdict", config: TrainConfig, sheet: Path) -> dict[str, Any]:
    """Draw the figure, if there are operations; return the operations as text and the path of the figure."""
    from model.features.contact_sheet import draw_contact_sheet

    dataset = verdict.dataset
    operations = parse_augmentation(config.augmentation, len(dataset.train) / len(dataset.classes))
    if not operations:
        return {"operations": "", "sheet": None}
    spec = InputSpec.from_config(config, verdict.intensity)
    drawn = draw_contact_sheet(verdict.training_data, operations, spec, config.seed)
    with output_file(sheet) as local:
        drawn.save(local)
    return {"operations": augmentation_text(operations), "sheet": sheet}
