"""`topgraft evaluate`: measure a model on labelled photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model.cli.options import (
    FiniteRange,
    PathOrRemote,
    check_output_file,
    config_options,
    current_workspace,
    json_option,
    workspace_option,
)
from model.cli.output import EXIT_LIMIT, accuracy_line, print_json, print_line, print_lines, progress_display
from model.config import TrainConfig
from model.dataset import DATASET_OPTIONS
from model.marks import marks_line
from model.registry import find_bundle
from model.shown import counted, printable
from model.storage.copies import output_file

if TYPE_CHECKING:
    from model.evaluation.dataset_evaluation import EvaluationResult

# Width of a metric with its number of photos and its interval.
_COLUMN = 30


@click.command()
@click.argument("model", metavar="MODEL")
@click.argument("dataset", metavar="DATASET")
@config_options(TrainConfig, only=DATASET_OPTIONS)
@click.option(
    "--output",
    metavar="FILE.csv",
    type=PathOrRemote(dir_okay=False),
    help="Write a row per photo: true and predicted class, probabilities, and whether it is marked unknown.",
)
@click.option(
    "--report",
    metavar="FILE.html",
    type=PathOrRemote(dir_okay=False),
    help="Write the report of these photos, as after a training, and beside it all suspected label errors.",
)
@click.option(
    "--min-accuracy",
    metavar="NUMBER",
    type=FiniteRange(0, 1),
    help=f"Exit with status {EXIT_LIMIT} if the accuracy is lower, or was measured on training photos.  [0 to 1]",
)
@json_option
@workspace_option
def evaluate(
    model: str,
    dataset: str,
    output: Path | None,
    report: Path | None,
    min_accuracy: float | None,
    as_json: bool,
    **typed: Any,
) -> None:
    """Measure a trained model on a labelled dataset.

    MODEL is a name, or latest. DATASET is any dataset that train accepts. Its test split is used, or
    all its photos if it has none. From the dataset that the model was trained on, only photos that
    were not used for training are evaluated. Photos of classes that the model does not know are
    counted, and are in none of the metrics.
    """
    check_output_file("--output", output, (".csv",))
    check_output_file("--report", report, (".html",))
    workspace = current_workspace()
    bundle = find_bundle(workspace, model)
    from model.evaluation.dataset_evaluation import evaluate_on_dataset, report_files

    with progress_display() as progress, report_files(report) as files:
        result = evaluate_on_dataset(bundle, dataset, workspace, typed, progress, *files)
    if report is not None:
        print_line(f"Wrote the report to {report}", err=True)
    if output is not None:
        with output_file(output) as local:
            result.write_predictions(local)
        images = len(result.evaluation.samples) + len(result.others.samples)
        print_line(f"Wrote {counted(images, 'prediction')} to {output}", err=True)
    accuracy = result.metrics["accuracy"]
    is_high = min_accuracy is None or accuracy >= min_accuracy
    is_kept = min_accuracy is None or (is_high and result.is_decidable)
    if as_json:
        limit = {} if min_accuracy is None else {"min_accuracy": {"limit": min_accuracy, "kept": is_kept}}
        print_json(result.to_json() | limit)
    else:
        print_lines(_lines(result))
    if not is_high:
        print_line(f"The accuracy {accuracy:.4f} is below --min-accuracy {min_accuracy}.", err=True)
    elif not is_kept:
        print_line(
            "Whether --min-accuracy is kept cannot be decided on photos that the model was trained or tuned on: "
            "evaluate it on other photos.",
            err=True,
        )
    if not is_kept:
        click.get_current_context().exit(EXIT_LIMIT)


def _lines(result: "EvaluationResult") -> list[str]:
    metrics = result.metrics
    width = max(len(printable(row["class"])) for row in metrics["per_class"])
    return [
        f"{result.model} on {result.dataset}, split: {result.split}",
        f"  {accuracy_line(metrics)}",
        f"  {marks_line(metrics, result.split)}",
        "",
        f"  {'class':<{width}}  {'precision':>{_COLUMN}}  {'recall':>{_COLUMN}}  {'F1':>{_COLUMN}}",
        *(_class_line(row, width) for row in metrics["per_class"]),
        *([f"Left out: {result.others}."] if result.others.samples else []),
        *(f"Not read: {item.name}: {item.reason}" for item in result.unreadable),
        *(f"Warning: {warning}." for warning in result.warnings),
    ]


def _class_line(row: dict[str, Any], width: int) -> str:
    counts = {"precision": f" of {row['predicted']}", "recall": f" of {row['support']}", "f1": ""}
    cells = (_class_cell(row[metric], row[f"{metric}_interval"], count) for metric, count in counts.items())
    return f"  {printable(row['class']):<{width}}  {'  '.join(cells)}"


def _class_cell(value: float, interval: list[float] | None, count: str) -> str:
    """A metric of a class with its number of photos and 95 % interval, such as `0.900 of 20 (0.699 to 0.972)`."""
    text = f"{value:.3f}{count} ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "no photos"
    return f"{text:>{_COLUMN}}"
