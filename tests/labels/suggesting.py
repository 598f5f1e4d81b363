"""Projects of coloured photos, and suggestions of a model that knows their colours."""

from pathlib import Path
from typing import Any

from PIL import Image

from model.bundle import open_bundle
from model.labels.server import LabelStudio
from model.labels.suggest_labels import LabelSuggestions, SuggestOptions, suggest_labels
from model.serving.predictor import Predictor, load_predictor
from tests.labels.label_studio_server import LEGACY_TOKEN, Project
from tests.labels.label_studio_tasks import HEIGHT, WIDTH, task
from tests.support.photos import encoded
from tests.support.small_model import CLASSES, write_model

COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200), "reddish": (120, 100, 100)}
PHOTO = {"type": "Image", "value": "image"}
CHOICES = {"kind": {"type": "Choices", "to_name": ["image"], "inputs": [PHOTO], "labels": list(CLASSES)}}
RECTANGLES = {"label": {"type": "RectangleLabels", "to_name": ["image"], "inputs": [PHOTO], "labels": list(CLASSES)}}


def predictor(folder: Path, name: str = "colours") -> Predictor:
    """A model of three colours."""
    directory = folder / "models" / name
    return load_predictor(open_bundle(directory) if directory.exists() else write_model(directory), threads=1)


def coloured_photo(colour: str, box: str = "") -> bytes:
    """A photo of one colour, with another one in the box of `box_item`."""
    image = Image.new("RGB", (WIDTH, HEIGHT), COLOURS[colour])
    if box:
        image.paste(COLOURS[box], (80, 60, 160, 120))
    return encoded(image, "PNG")


def project_of(*photos: bytes, configuration: dict[str, Any] | None = None) -> Project:
    """A project with a task for each photo, without annotations."""
    tasks = [task(number) for number in range(1, len(photos) + 1)]
    for one in tasks:
        one["updated_at"] = "2026-01-01T00:00:00Z"
    contents = {one["data"]["image"]: photo for one, photo in zip(tasks, photos, strict=True)}
    return Project(tasks, contents, configuration=dict(configuration or CHOICES))


def suggested(address: str, model: Predictor, token: str = LEGACY_TOKEN, **options: Any) -> LabelSuggestions:
    """Suggest labels in the project."""
    return suggest_labels(LabelStudio(address, token), 1, model, SuggestOptions(**options))


def labels_on(project: Project) -> list[list[tuple[str, list[str]]]]:
    """Model version and labels of each prediction of each task."""
    return [[(one["model_version"], labels_of(one)) for one in entry["predictions"]] for entry in project.tasks]


def labels_of(prediction: dict[str, Any]) -> list[str]:
    """The labels of a prediction."""
    return [item["value"].get(item["type"], [""])[0] for item in prediction["result"]]
