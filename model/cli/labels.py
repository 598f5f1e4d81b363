"""`topgraft import-labels`: labelled photos from Label Studio or COCO files as a dataset."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model import schema
from model.cli.options import LocalPath, PathOrRemote, config_options, current_workspace, json_option, workspace_option
from model.cli.output import print_json, progress_display
from model.config import TrainConfig
from model.files.browsing import name_some
from model.results import SPLITS, Progress

if TYPE_CHECKING:
    from model.labels.import_labels import LabelsImport
    from model.labels.photos import Photos
    from model.labels.regions import Labels

_SPLIT_OPTIONS = ("val_fraction", "test_fraction", "seed")


@click.command("import-labels", short_help="Make a dataset of photos labelled in Label Studio or COCO files.")
@click.argument("source", metavar="SOURCE", type=PathOrRemote(exists=True))
@click.argument("directory", metavar="DIR", type=LocalPath(file_okay=False, path_type=Path))
@click.option(
    "--images",
    metavar="FOLDER",
    type=PathOrRemote(exists=True),
    help="Folder of the photos, also remote:path. Default: the folder of SOURCE.",
)
@click.option("--control", default="", metavar="NAME", help="Labelling control to read, if there are several.")
@click.option("--annotator", default="", metavar="ID", help="Person whose annotations alone are read. Default: all.")
@click.option(
    "--margin",
    type=click.FloatRange(0, 2),
    default=0.1,
    show_default=True,
    help="Margin on each side of a box, as a fraction of its width and height.",
)
@click.option(
    "--min-side",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Minimum width and height of a box in pixels; smaller ones are left out.",
)
@click.option("--straighten", is_flag=True, help="Rotate the content of rotated boxes upright.")
@config_options(TrainConfig, only=_SPLIT_OPTIONS)
@json_option
@workspace_option
def import_labels_command(
    source: Path,
    directory: Path,
    images: Path | None,
    control: str,
    annotator: str,
    margin: float,
    min_side: int,
    straighten: bool,
    as_json: bool,
    **typed: Any,
) -> None:
    """Make a dataset of labelled photos: each box, or each photo, becomes an image of its class.

    SOURCE is a JSON export of Label Studio, a folder or remote:path of its target storage, or a
    COCO file as CVAT and Roboflow write them. DIR is the dataset: new, or written by a former
    import, of which unchanged images keep their bytes and split. All images of a photo are in one
    split. origin.csv in DIR names the photo and box of each image, rejected.csv what gave none.
    """
    config = schema.load(TrainConfig, typed, {})
    current_workspace()
    from model.labels.crops import CropOptions
    from model.labels.cutting import SplitOptions
    from model.labels.import_labels import ImportOptions, import_labels

    options = ImportOptions(
        CropOptions(margin, min_side, straighten),
        SplitOptions(config.val_fraction, config.test_fraction, config.seed),
        annotator,
    )
    with progress_display() as progress, _opened(str(source), images, control, progress) as (labels, photos):
        result = import_labels(str(source), labels, photos, directory, options, progress)
    if as_json:
        print_json(result.to_json())
    else:
        click.echo("\n".join(_lines(result)))


@contextlib.contextmanager
def _opened(source: str, images: Path | None, control: str, progress: Progress) -> "Iterator[tuple[Labels, Photos]]":
    """The labels of a source, and its photos."""
    from model.labels.photos import LocalPhotos
    from model.labels.sources import read_labels
    from model.storage.copies import local_paths

    named = [source, *([str(images)] if images is not None else [])]
    with local_paths(named, "topgraft import-labels", progress) as local:
        path = local.paths[0]
        folder = local.paths[1] if images is not None else path if path.is_dir() else path.parent
        yield read_labels(path, control), LocalPhotos(folder)


def _lines(result: "LabelsImport") -> list[str]:
    lines = [f"Warning: {warning}." for warning in result.warnings]
    lines.append(f"{result.dataset}: images of {result.annotated:,} annotated photos of {result.tasks:,}")
    classes = sorted({label for split in SPLITS for label in result.images[split]})
    for label in classes:
        counts = ", ".join(f"{result.images[split].get(label, 0):,} {split}" for split in SPLITS)
        lines.append(f"  {label}: {counts}")
    lines.append(f"  {result.new:,} new, {result.unchanged:,} unchanged, {result.withdrawn:,} withdrawn")
    if result.left_out:
        lines.append(f"  {result.left_out:,} labels or photos gave no image: rejected.csv")
    if result.not_read:
        not_read = [f"{count:,} {kind}" for kind, count in result.not_read.items()]
        lines.append(f"  not read: {name_some(not_read)}")
    if len(result.annotators) > 1:
        kappa = f", Cohen's kappa {result.kappa:.2f} of {result.compared:,} pairs" if result.kappa is not None else ""
        lines.append(
            f"  {len(result.annotators)} annotators: {result.disagreements:,} objects labelled differently, "
            f"{result.ties:,} of them left out{kappa}"
        )
    lines.append(f"Check {result.dataset}/contact-sheet.jpg and {result.dataset}/boxes/, then: topgraft train")
    return lines
