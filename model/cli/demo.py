"""`topgraft demo`: run the complete workflow once on synthetic photos."""

import shutil
import sys
import time
from pathlib import Path

import click

from model import durable
from model.bundle_files import REPORT, RESULTS
from model.cli.options import current_workspace, json_option, workspace_option
from model.cli.output import print_json, print_line, print_lines, progress_display
from model.cli.prediction import draw_first_answer, prediction_lines
from model.cli.training_results import training_lines
from model.config import PredictConfig, TrainConfig
from model.registry import find_bundle
from model.results import Prediction
from model.training_result import TrainingResult
from model.workspace import Workspace

DEMO = "demo"
ANSWER = "answer.png"


@click.command(short_help="Run the complete workflow once on synthetic photos.")
@json_option
@workspace_option
def demo(as_json: bool) -> None:
    """Generate a small dataset, train and test a model on it, and classify a photo.

    Writes data/demo and a model named demo-TIME. Takes about a minute and needs no network.
    """
    workspace = current_workspace()
    dataset = workspace.data / DEMO
    _write_dataset_once(dataset)
    result = _train(dataset, workspace)
    photo, prediction = _classify_first_test_photo(dataset, result.model, workspace)
    if as_json:
        shown = {"photo": photo, "prediction": prediction.to_json(), "picture": dataset / ANSWER}
        print_json(result.to_json() | shown)
    else:
        print_lines([*training_lines(result), *_answer_lines(result, prediction, dataset)])
        print_lines(_next_lines(workspace))


def _write_dataset_once(dataset: Path) -> None:
    from model.synthesis.composition import write_demo_dataset

    if (dataset / "dataset_files" / "classes.txt").is_file():
        return
    print_line(f"Drawing photos of traffic signs in {dataset}", err=True)
    with progress_display() as progress:
        write_demo_dataset(dataset, progress=progress)


def _train(dataset: Path, workspace: Workspace) -> TrainingResult:
    from model.runs.trainer import train

    name = f"{DEMO}-{time.strftime('%Y-%m-%d_%H%M%S')}"
    print_line("Training a classifier on EfficientNetLite0, pretrained on ImageNet", err=True)
    with progress_display() as progress:
        return train(TrainConfig(dataset=str(dataset), name=name), workspace, progress)


def _classify_first_test_photo(dataset: Path, model: str, workspace: Workspace) -> tuple[Path, Prediction]:
    from model.serving.photos import Photos, predict_photos
    from model.serving.predictor import load_predictor

    first_line = (dataset / "dataset_files" / "test.txt").read_text(encoding="utf-8").splitlines()[0]
    photo = dataset / "images" / first_line.rpartition(" ")[0]
    predictor = load_predictor(find_bundle(workspace, model))
    [prediction] = predict_photos(predictor, Photos([photo]), PredictConfig())
    durable.write_bytes(dataset / ANSWER, draw_first_answer(predictor, Photos([photo]), PredictConfig()))
    return photo, prediction


def _answer_lines(result: TrainingResult, prediction: Prediction, dataset: Path) -> list[str]:
    return [
        f"A photo not used in training: {'; '.join(prediction_lines(prediction))}",
        "",
        f"Model:                    {result.path}",
        f"Accuracy by epoch:        {result.path / RESULTS}",
        f"Report:                   {result.path / REPORT}",
        f"Figure of the prediction: {dataset / ANSWER}",
    ]


def _next_lines(workspace: Workspace) -> list[str]:
    serve = "make serve" if (workspace.root / "Makefile").is_file() else "topgraft serve"
    command = _command_as_typed()
    return [
        "",
        f"Next:  {serve}",
        "and open http://127.0.0.1:5000/ui in a browser.",
        "",
        "With your own photos, one folder per class (photos/cats/1.jpg, photos/dogs/2.jpg):",
        f"  {command} check photos",
        f"  {command} train --dataset photos",
        f"  {command} predict latest new-photo.jpg",
    ]


def _command_as_typed() -> str:
    """`topgraft` if the shell finds this command, else its path, relative if it is below the current folder."""
    command = Path(sys.argv[0]).absolute()
    if shutil.which("topgraft") == str(command) or command.name != "topgraft":
        return "topgraft"
    return str(command.relative_to(Path.cwd())) if command.is_relative_to(Path.cwd()) else str(command)
