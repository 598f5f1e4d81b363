"""`topgraft import-labels`: labelled photos from Label Studio or COCO files as a dataset."""

import contextlib
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from model import schema
from model.cli.options import (
    FiniteRange,
    LocalPath,
    PathOrRemote,
    config_options,
    current_workspace,
    json_option,
    workspace_option,
)
from model.cli.output import print_json, print_lines, progress_display
from model.config import TrainConfig
from model.environment import LABEL_STUDIO_API_KEY
from model.files.browsing import name_some
from model.received import quoted
from model.results import SPLITS, Progress
from model.storage.places import is_remote

if TYPE_CHECKING:
    from model.labels.import_labels import LabelsImport
    from model.labels.photos import Photos
    from model.labels.regions import Labels

CROP_DEFAULTS = (0.1, 8, False)
"""Margin, minimum side and straightening of `model.labels.crops.CropOptions`, which takes long to import."""

_Command = TypeVar("_Command", bound=Callable[..., Any])
_SPLIT_OPTIONS = ("val_fraction", "test_fraction", "seed")

token_file_option = click.option(
    "--token-file",
    metavar="FILE",
    type=LocalPath(exists=True, dir_okay=False, path_type=Path),
    help=f"File with the access token of the server. Default: ${LABEL_STUDIO_API_KEY.name}.",
)


def crop_options(described: str = "") -> Callable[[_Command], _Command]:
    """The options of cutting boxes out.

    Args:
        described: what is used instead of the usual values if an option is not given; it is None then.
    """
    standard = CROP_DEFAULTS
    values = (None, None, None) if described else standard
    note = f"  [default: {described}]" if described else ""
    options = (
        click.option(
            "--margin",
            type=FiniteRange(0, 2),
            default=values[0],
            show_default=not described,
            help=f"Margin on each side of a box, as a fraction of its width and height.{note}",
        ),
        click.option(
            "--min-side",
            type=click.IntRange(1),
            default=values[1],
            show_default=not described,
            help=f"Minimum width and height of a box in pixels; smaller ones are left out.{note}",
        ),
        click.option(
            "--straighten/--no-straighten" if described else "--straighten",
            is_flag=True,
            default=values[2],
            help=f"Rotate the content of rotated boxes upright.{note}",
        ),
    )

    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.command("import-labels", short_help="Make a dataset of photos labelled in Label Studio or COCO files.")
@click.argument("paths", metavar="[SOURCE] DIR", nargs=-1, required=True, type=PathOrRemote())
@click.option("--url", default="", metavar="ADDRESS", help="Label Studio server to read instead of SOURCE.")
@click.option("--project", type=click.IntRange(1), metavar="NUMBER", help="Project on the server, as in its address.")
@token_file_option
@click.option(
    "--images",
    metavar="FOLDER",
    type=PathOrRemote(exists=True),
    help="Folder of the photos, also remote:path. Default: the folder of SOURCE, or the server.",
)
@click.option("--control", default="", metavar="NAME", help="Labelling control to read, if there are several.")
@click.option("--annotator", default="", metavar="ID", help="Person whose annotations alone are read. Default: all.")
@crop_options()
@config_options(TrainConfig, only=_SPLIT_OPTIONS)
@json_option
@workspace_option
def import_labels_command(
    paths: tuple[Path, ...],
    url: str,
    project: int | None,
    token_file: Path | None,
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
    COCO file as CVAT and Roboflow write them; with --url and --project, a server is read. DIR is
    the dataset: new, or written by a former import, of which unchanged images keep their bytes and
    split. All images of a photo are in one split. origin.csv in DIR names the photo and box of each
    image, rejected.csv what gave none.
    """
    config = schema.load(TrainConfig, typed, {})
    source, directory = _source_and_directory(paths, url, project)
    current_workspace()
    from model.labels.crops import CropOptions
    from model.labels.cutting import SplitOptions
    from model.labels.import_labels import ImportOptions, import_labels
    from model.labels.sources import labels_in_files

    options = ImportOptions(
        CropOptions(margin, min_side, straighten),
        SplitOptions(config.val_fraction, config.test_fraction, config.seed),
        annotator,
    )
    with progress_display() as progress, contextlib.ExitStack() as held:
        if project is not None:
            labels, photos = held.enter_context(_on_server(url, project, token_file, images, control, progress))
        else:
            given = "" if images is None else str(images)
            labels, photos = held.enter_context(labels_in_files(source, given, control, progress))
        result = import_labels(source, labels, photos, directory, options, progress)
    if as_json:
        print_json(result.to_json())
    else:
        print_lines(_lines(result))


def _source_and_directory(paths: tuple[Path, ...], url: str, project: int | None) -> tuple[str, Path]:
    """What is imported, for messages, and the folder of the dataset.

    Raises:
        UsageError: too few or too many arguments, or paths that cannot be used.
    """
    if bool(url) != (project is not None):
        raise click.UsageError("expected --url and --project together")
    if len(paths) != (1 if url else 2):
        expected = "DIR, because --url is the source" if url else "SOURCE and DIR, or --url with --project and DIR"
        raise click.UsageError(f"expected {expected}, received {len(paths)} paths")
    directory = paths[-1]
    if is_remote(str(directory)):
        raise click.UsageError(f"expected DIR to be a folder on this machine, received {quoted(str(directory))}")
    if url:
        return f"{url}, project {project}", directory
    if not is_remote(str(paths[0])) and not paths[0].exists():
        raise click.UsageError(f"SOURCE: no such file or folder: {quoted(str(paths[0]))}")
    return str(paths[0]), directory


@contextlib.contextmanager
def _on_server(
    url: str, project: int, token_file: Path | None, images: Path | None, control: str, progress: Progress
) -> "Iterator[tuple[Labels, Photos]]":
    """The labels of a project on a server, and its photos, on the server or in a folder."""
    from model.labels.label_studio import read_tasks
    from model.labels.photos import LocalPhotos
    from model.labels.server import LabelStudio, read_token
    from model.labels.server_photos import ServerPhotos
    from model.labels.server_tasks import current_tasks
    from model.storage.copies import local_paths

    server = LabelStudio(url, read_token(token_file))
    tasks, photo_keys = current_tasks(server, project)
    labels = read_tasks(tasks, control, photo_keys)
    with local_paths([str(images)] if images is not None else [], "topgraft import-labels", progress) as local:
        yield labels, LocalPhotos(local.paths[0]) if images is not None else ServerPhotos(server)


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
    if len(result.annotators) > 1 or result.disagreements:
        people = f"{len(result.annotators)} annotators" if len(result.annotators) > 1 else "annotators without a name"
        kappa = f", Cohen's kappa {result.kappa:.2f} of {result.compared:,} pairs" if result.kappa is not None else ""
        lines.append(
            f"  {people}: {result.disagreements:,} objects labelled differently, "
            f"{result.ties:,} of them left out{kappa}"
        )
    train = f"topgraft train --dataset {shlex.quote(result.dataset)}"
    lines.append(f"Check {result.dataset}/contact-sheet.jpg and {result.dataset}/boxes/, then: {train}")
    return lines
