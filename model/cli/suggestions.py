"""`topgraft suggest-labels`: classes of a model as suggestions in a project of Label Studio."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from model.bundle import Bundle
from model.cli.labels import crop_options, token_file_option
from model.cli.options import LocalPath, current_workspace, json_option, workspace_option
from model.cli.output import format_percentage, print_json, print_lines, progress_display
from model.errors import ConfigError
from model.files.browsing import name_some
from model.storage.places import is_remote

if TYPE_CHECKING:
    from model.labels.crops import CropOptions
    from model.labels.suggest_labels import LabelSuggestions
    from model.labels.suggestions import Suggestion
    from model.labels.suspected import SuspectedLabels

_MAX_LINES = 10


@click.command("suggest-labels", short_help="Suggest classes for the photos of a Label Studio project.")
@click.argument("model", metavar="MODEL")
@click.option("--url", required=True, metavar="ADDRESS", help="Label Studio server.")
@click.option("--project", required=True, type=click.IntRange(1), metavar="NUMBER", help="Project, as in its address.")
@token_file_option
@click.option("--control", default="", metavar="NAME", help="Labelling control to fill, if there are several.")
@click.option(
    "--most",
    type=click.IntRange(1),
    metavar="N",
    help="Maximum number of suggestions: suspected label errors, then the most uncertain ones. Default: all.",
)
@click.option(
    "--errors",
    metavar="FILE",
    type=LocalPath(exists=True, dir_okay=False, path_type=Path),
    help="Suspected label errors to suggest other classes for: label_issues.csv of a training.",
)
@click.option(
    "--dataset",
    metavar="DIR",
    type=LocalPath(exists=True, file_okay=False, path_type=Path),
    help="Dataset of --errors, made by import-labels. Default: the one that MODEL was trained on.",
)
@crop_options("as the dataset was cut")
@json_option
@workspace_option
def suggest_labels_command(
    model: str,
    url: str,
    project: int,
    token_file: Path | None,
    control: str,
    most: int | None,
    errors: Path | None,
    dataset: Path | None,
    margin: float | None,
    min_side: int | None,
    straighten: bool | None,
    as_json: bool,
) -> None:
    """Suggest classes for the photos of a Label Studio project, or for the boxes in them.

    MODEL is the name of a trained model, or latest. Photos without an annotation get a suggestion
    with its probability as the score, and with --errors also those whose labels may be wrong.
    Annotators accept or change it. Former suggestions of Topgraft are replaced, those of others kept.
    """
    workspace = current_workspace()
    from model.labels.crops import CropOptions
    from model.labels.server import LabelStudio, read_token
    from model.labels.suggest_labels import SuggestOptions, suggest_labels
    from model.serving.predictor import find_predictor

    server = LabelStudio(url, read_token(token_file))
    predictor = find_predictor(workspace, model)
    suspected = _suspected(errors, dataset, predictor.bundle)
    crops = _recorded(dataset, predictor.bundle)
    crops = CropOptions(
        crops.margin if margin is None else margin,
        crops.min_side if min_side is None else min_side,
        crops.straighten if straighten is None else straighten,
    )
    options = SuggestOptions(crops, control, most or 0, suspected)
    with progress_display() as progress:
        result = suggest_labels(server, project, predictor, options, progress)
    if as_json:
        print_json(result.to_json())
    else:
        print_lines(_lines(result))


def _suspected(errors: Path | None, dataset: Path | None, bundle: Bundle) -> "SuspectedLabels":
    """Suspected labels of the dataset of a model, or of a given one.

    Raises:
        ConfigError: the dataset of the model is not on this machine.
        DatasetError: the dataset was not imported from labelled photos, or the table is another one.
    """
    from model.labels.suspected import SuspectedLabels, read_suspected

    if errors is None:
        if dataset is not None:
            raise click.UsageError("expected --dataset together with --errors")
        return SuspectedLabels()
    if dataset is None:
        dataset = _trained_on(bundle)
    if dataset is None:
        received = str(bundle.manifest.dataset.get("path", "")) or "a model without one"
        raise ConfigError(
            f"expected the dataset of {bundle.name} on this machine, which says where the photos of {errors} come "
            f"from, received {received}. Name its folder with --dataset"
        )
    return read_suspected(errors, dataset)


def _recorded(dataset: Path | None, bundle: Bundle) -> "CropOptions":
    """How the images that a model was trained on were cut out; the usual way if it is not known."""
    from model.labels.crops import CropOptions
    from model.labels.former import recorded_options

    dataset = _trained_on(bundle) if dataset is None else dataset
    recorded = None if dataset is None else recorded_options(dataset)
    return recorded or CropOptions()


def _trained_on(bundle: Bundle) -> Path | None:
    """The dataset that a model was trained on; None if it has none, or one that is remote."""
    named = str(bundle.manifest.dataset.get("path", ""))
    return current_workspace().find_dataset(named) if named and not is_remote(named) else None


def _lines(result: "LabelSuggestions") -> list[str]:
    lines = [f"Warning: {warning}." for warning in result.warnings]
    suspected = sum(bool(one.given) for one in result.suggestions)
    lines.append(
        f"{result.project}: {len(result.suggestions):,} suggestions by {result.model} for the control "
        f"{result.control}, {suspected:,} of them for suspected label errors"
    )
    lines += _first([_line(one) for one in result.suggestions])
    lines.append(f"  {result.new:,} new, {result.unchanged:,} unchanged, {result.removed:,} removed")
    lines.append(f"  {result.annotated:,} of {result.tasks:,} tasks are annotated and get none")
    if result.omitted:
        lines.append(f"  {result.omitted:,} more certain suggestions left out by --most")
    if result.corrected:
        lines.append(f"  no longer in the dataset: {name_some(result.corrected)}")
    lines += _first([f"  Left out: task {one.task}: {one.reason}" for one in result.left_out])
    lines.append(
        "Sort the tasks by Prediction score, or choose Settings > General > Uncertainty sampling, to label the most "
        "uncertain first"
    )
    return lines


def _first(lines: list[str]) -> list[str]:
    hidden = len(lines) - _MAX_LINES
    return [*lines[:_MAX_LINES], *([f"  And {hidden:,} more."] if hidden > 0 else [])]


def _line(one: "Suggestion") -> str:
    labels = name_some(one.labels)
    mark = f", labelled {name_some(one.given)}" if one.given else ""
    mark += ", unknown" if one.unknown else ""
    return f"  task {one.task}: {labels} {format_percentage(one.score)}{mark}"
