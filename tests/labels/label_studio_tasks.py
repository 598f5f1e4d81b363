"""Tasks as Label Studio exports them, and photos for them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from model.labels.crops import CropOptions
from model.labels.cutting import SplitOptions
from model.labels.import_labels import ImportOptions, LabelsImport, import_labels
from model.labels.photos import LocalPhotos
from model.labels.sources import read_labels

WIDTH, HEIGHT = 320, 240


def write_photo(path: Path, seed: int = 0, box: tuple[int, int, int, int] = (80, 60, 160, 120)) -> None:
    """A gray photo with a white rectangle; each seed has another gray."""
    pixels = np.full((HEIGHT, WIDTH, 3), 40 + seed % 100, np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def box_item(label: str = "cat", name: str = "r1", **value: Any) -> dict[str, Any]:
    """A box of the control `label`, around the rectangle of `write_photo` unless `value` says otherwise."""
    coordinates = {"x": 25, "y": 25, "width": 25, "height": 25, "rotation": 0} | value
    return {
        "id": name,
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {key: number for key, number in coordinates.items() if number is not None}
        | {"rectanglelabels": [label]},
    }


def choice_item(label: str, control: str = "kind") -> dict[str, Any]:
    """A label of the whole photo."""
    value = {"choices": [label]}
    return {"id": "c1", "type": "choices", "from_name": control, "to_name": "image", "value": value}


def annotation(*items: dict[str, Any], name: int = 1, by: Any = 1, **more: Any) -> dict[str, Any]:
    return {"id": name, "completed_by": by, "was_cancelled": False, "result": list(items)} | more


def task(number: int, *annotations: dict[str, Any], image: str = "", **more: Any) -> dict[str, Any]:
    data = {"image": image or f"/data/upload/1/0a1b2c3d-photo_{number}.png"}
    return {"id": number, "data": data, "annotations": list(annotations), "predictions": []} | more


def boxed_tasks(folder: Path, count: int = 12) -> list[dict[str, Any]]:
    """Tasks with one box each, of two classes in turn, and their photos in a folder."""
    for number in range(1, count + 1):
        write_photo(folder / f"photo {number}.png", number)
    return [task(number, annotation(box_item("cat" if number % 2 else "dog"))) for number in range(1, count + 1)]


def export(folder: Path, tasks: list[dict[str, Any]]) -> Path:
    """Write tasks as the file of an export; its path."""
    path = folder / "export.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return path


def content(folder: Path) -> dict[str, bytes]:
    """Path in a folder -> content of the file."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_cutouts(folder: Path, classes: tuple[str, str] = ("cat", "dog")) -> None:
    """A cut-out with transparency of each class; by default those of `boxed_tasks`."""
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        pixels = np.zeros((80, 80, 4), np.uint8)
        pixels[10:70, 10:70] = [200 * number, 120, 255 - 200 * number, 255]
        Image.fromarray(pixels).save(folder / name / "cutout.png")


def imported(source: Path, photos: Path, target: Path, annotator: str = "", **crops: Any) -> LabelsImport:
    options = ImportOptions(CropOptions(**crops), SplitOptions(), annotator)
    return import_labels(str(source), read_labels(source), LocalPhotos(photos), target, options)
