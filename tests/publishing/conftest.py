"""A workspace with a model that is loaded in no time, with numbers such as a training measures."""

import dataclasses
from pathlib import Path

import pytest

from model.bundle import Bundle, find_bundle, open_bundle, write_manifest
from model.workspace import Workspace
from tests.api.small_model import CLASSES, write_small_model

NAME = "colours"


def measured() -> dict[str, object]:
    """Metrics of 40 test photos."""
    rows = [
        {"class": name, "precision": 0.9, "recall": 0.8, "f1": 0.85, "support": support}
        for name, support in zip(CLASSES, (18, 21, 1), strict=True)
    ]
    return {
        "images": 40,
        "accuracy": 0.875,
        "accuracy_interval": [0.739, 0.945],
        "macro_f1": 0.85,
        "macro_f1_interval": [0.71, 0.93],
        "balanced_accuracy": 0.8,
        "expected_calibration_error": 0.031,
        "per_class": rows,
    }


def write_model(directory: Path, **changed: object) -> Bundle:
    """A whole model, its manifest changed as told."""
    write_small_model(directory)
    (directory / "dataset_files").mkdir()
    (directory / "dataset_files" / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    counts = {split: dict.fromkeys(CLASSES, number) for split, number in (("train", 30), ("val", 10), ("test", 13))}
    known = {
        "versions": {"topgraft": "0.1.0"},
        "train_config": {"weights": "imagenet"},
        "dataset": {"path": "/data/my photos", "counts": counts, "fingerprint": "0" * 64},
        "metrics": {"test": measured()},
        "thresholds": {"confidence": 0.5},
    }
    write_manifest(directory, dataclasses.replace(open_bundle(directory).manifest, **(known | changed)))
    return open_bundle(directory)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with the model `colours`."""
    (tmp_path / "data").mkdir()
    write_model(tmp_path / "models" / NAME)
    return Workspace(tmp_path)


@pytest.fixture
def bundle(workspace: Workspace) -> Bundle:
    """The model `colours`."""
    return find_bundle(workspace, NAME)
