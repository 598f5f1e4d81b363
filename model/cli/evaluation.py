"""`topgraft evaluate`: measure a model on labelled photos."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import click

from model import schema
from model.cli.datasets import DATASET_OPTIONS, SPLIT_OPTIONS
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
from model.registry import find_bundle
from model.storage import is_remote
from model.storage.copies import dataset_folder, output_file


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
    # The same options on the same dataset re-create the splits of the training.
    of_training = {name: bundle.manifest.train_config.get(name) for name in SPLIT_OPTIONS}
    of_training["folds"] = bundle.manifest.dataset.get("folds", 0)
    config = schema.load(TrainConfig, of_training, typed, {"dataset": dataset})
    from model.dataset.prepare import prepare_dataset
    from model.evaluation.evaluate import evaluate_bundle, write_predictions
    from model.evaluation.selection import select_samples

    with (
        tempfile.TemporaryDirectory(prefix="topgraft-evaluate-") as work_directory,
        progress_display() as progress,
        dataset_folder(workspace, config.dataset, f"topgraft evaluate {bundle.name}", progress) as source,
    ):
        verdict = prepare_dataset(source, config, Path(work_directory), progress)
        selection = select_samples(bundle, verdict)
        evaluation = evaluate_bundle(bundle, selection.samples, progress)
    if output is not None:
        with output_file(output) as local:
            write_predictions(local, evaluation)
        click.echo(f"Wrote {len(evaluation.samples)} predictions to {output}", err=True)
    answer = {
        "status": "done",
        "model": bundle.name,
        "dataset": dataset if is_remote(dataset) else source,
        "split": selection.split,
        "metrics": evaluation.metrics,
        "unreadable": [dataclasses.asdict(item) for item in (*verdict.rejected, *evaluation.errors)],
        "warnings": [*verdict.warnings, *selection.warnings],
    }
    if as_json:
        print_json(answer)
    else:
        click.echo("\n".join(_lines(answer)))


def _lines(answer: dict[str, Any]) -> list[str]:
    metrics = answer["metrics"]
    width = max(len(row["class"]) for row in metrics["per_class"])
    return [
        f"{answer['model']} on {answer['dataset']}, split: {answer['split']}",
        f"  {accuracy_line(metrics)}",
        "",
        f"  {'class':<{width}}  precision  recall     f1  images",
        *(_class_line(row, width) for row in metrics["per_class"]),
        *(f"Not read: {item['name']}: {item['reason']}" for item in answer["unreadable"]),
        *(f"Warning: {warning}." for warning in answer["warnings"]),
    ]


def _class_line(row: dict[str, Any], width: int) -> str:
    numbers = f"{row['precision']:9.3f}  {row['recall']:6.3f}  {row['f1']:5.3f}  {row['support']:6}"
    return f"  {row['class']:<{width}}  {numbers}"
