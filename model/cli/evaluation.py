"""`topgraft evaluate`: measure a model on labelled photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model.cli.options import (
    PathOrRemote,
    check_output_file,
    config_options,
    current_workspace,
    json_option,
    workspace_option,
)
from model.cli.output import accuracy_line, print_json, progress_display
from model.config import TrainConfig
from model.dataset import DATASET_OPTIONS
from model.marks import marks_line
from model.registry import find_bundle
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
    help="Write a row per photo: true class, predicted class and probability.",
)
@json_option
@workspace_option
def evaluate(model: str, dataset: str, output: Path | None, as_json: bool, **typed: Any) -> None:
    """Measure a trained model on a labelled dataset.

    MODEL is a name, or latest. DATASET is any dataset that train accepts. Its test split is used, or
    all its photos if it has none. From the dataset that the model was trained on, only photos that
    were not used for training are evaluated.
    """
    check_output_file("--output", output, (".csv",))
    workspace = current_workspace()
    bundle = find_bundle(workspace, model)
    from model.evaluation.dataset_evaluation import evaluate_on_dataset
    from model.evaluation.evaluate import write_predictions

    with progress_display() as progress:
        result = evaluate_on_dataset(bundle, dataset, workspace, typed, progress)
    if output is not None:
        with output_file(output) as local:
            write_predictions(local, result.evaluation)
        click.echo(f"Wrote {len(result.evaluation.samples)} predictions to {output}", err=True)
    if as_json:
        print_json(result.to_json())
    else:
        click.echo("\n".join(_lines(result)))


def _lines(result: "EvaluationResult") -> list[str]:
    metrics = result.metrics
    width = max(len(row["class"]) for row in metrics["per_class"])
    return [
        f"{result.model} on {result.dataset}, split: {result.split}",
        f"  {accuracy_line(metrics)}",
        f"  {marks_line(metrics, result.split)}",
        "",
        f"  {'class':<{width}}  {'precision':>{_COLUMN}}  {'recall':>{_COLUMN}}  {'F1':>{_COLUMN}}",
        *(_class_line(row, width) for row in metrics["per_class"]),
        *(f"Not read: {item.name}: {item.reason}" for item in result.unreadable),
        *(f"Warning: {warning}." for warning in result.warnings),
    ]


def _class_line(row: dict[str, Any], width: int) -> str:
    counts = {"precision": f" of {row['predicted']}", "recall": f" of {row['support']}", "f1": ""}
    cells = (_class_cell(row[metric], row[f"{metric}_interval"], count) for metric, count in counts.items())
    return f"  {row['class']:<{width}}  {'  '.join(cells)}"


def _class_cell(value: float, interval: list[float] | None, count: str) -> str:
    """A metric of a class with its number of photos and 95 % interval, such as `0.900 of 20 (0.699 to 0.972)`."""
    text = f"{value:.3f}{count} ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "no photos"
    return f"{text:>{_COLUMN}}"
