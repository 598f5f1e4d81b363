"""Effect of augmentation, imbalance and similar options on the real photos, one option changed at a time.

How: the method of `benchmarks.real_data`, repeated for each choice: 5 folds, three seeds of the folds, a frozen
EfficientNet-Lite0, four views of each training image if there is an augmentation.

Depends on: the datasets folder beside the checkout; without it, nothing is measured.
"""

import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.real_data import (
    BACKBONE,
    DATASETS,
    LabelledPhotos,
    cross_validate,
    lego_crops,
    plankton_photos,
)
from benchmarks.tables import markdown_table
from model.config import TrainConfig

CHOICES: tuple[dict[str, Any], ...] = (
    {},
    {"augmentation": "light"},
    {"augmentation": "medium"},
    {"augmentation": "strong"},
    {"augmentation": "flip_lr|flip_ud|medium"},
    {"imbalance": "class_weights"},
    {"imbalance": "sampling"},
    {"imbalance": "logit_adjustment"},
    {"label_smoothing": 0.1},
    {"mixup": 0.2},
    {"stop_on": "val_macro_f1"},
    {"refit": False},
)


def main() -> None:
    """Print a row for each choice."""
    if not DATASETS.is_dir():
        print(f"Skipped: there is no {DATASETS}, where the photos would be.")
        return
    with tempfile.TemporaryDirectory() as directory:
        os.environ["TOPGRAFT_CACHE"] = str(Path(directory) / "cache")
        sets = [plankton_photos(Path(directory) / "plankton"), lego_crops(Path(directory) / "lego")]
        rows = [[_name(choice), *(_cell(photos, choice) for photos in sets)] for choice in CHOICES]
    print(markdown_table(["5-fold accuracy, macro-F1", "phytoplankton-mini", "lego-signs, crops"], rows))


def _name(choice: dict[str, Any]) -> str:
    [text] = [f"`{name} = {value}`".replace("|", "\\|") for name, value in choice.items()] or ["defaults"]
    return text


def _cell(photos: LabelledPhotos, choice: dict[str, Any]) -> str:
    found = cross_validate(photos, TrainConfig(backbone=BACKBONE, **choice))
    return f"{statistics.mean(found.accuracies):.3f}, {statistics.mean(found.f1_scores):.3f}"


if __name__ == "__main__":
    main()
