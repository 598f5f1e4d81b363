"""What a training learns does not depend on the labels of the test images."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bundle_files import (
    HELD_OUT_FEATURES,
    KERAS_MODEL,
    MANIFEST,
    ONNX_MODEL,
    RESULTS,
    TRAINING_COST,
    TRAINING_FEATURES,
)
from model.config import TrainConfig
from model.dataset.verdict import Verdict
from model.runs import recorded_dataset, trainer
from model.runs.recorded_dataset import check_dataset
from model.workspace import Workspace
from tests.support.shapes import write_shapes
from tests.support.trainings import rows

# Files that show the result on the test images, the time or the log.
SHOW_THE_TEST = (
    *("report.html", "MODEL_CARD.md", "predictions/test.csv", "dataset_files/test.txt"),
    *("dataset_files/label_issues.csv", "logs/", RESULTS, TRAINING_COST),
)
TIMED = ("created", "files")


def permuted(verdict: Verdict) -> Verdict:
    """The same images, the labels of the test images exchanged."""
    test = verdict.dataset.test
    labels = np.roll([sample.label for sample in test], len(test) // 2)
    changed = tuple(dataclasses.replace(sample, label=int(label)) for sample, label in zip(test, labels, strict=True))
    assert changed != test
    return dataclasses.replace(verdict, dataset=dataclasses.replace(verdict.dataset, test=changed))


def with_own_splits(photos: Path) -> Path:
    """Move a quarter of the photos of each class to a test split, and a quarter to a validation split."""
    for path in sorted(photos.rglob("*.jpg")):
        split = {0: "test", 1: "val"}.get(int(path.stem) % 4, "train")
        target = photos / split / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    for folder in photos.iterdir():
        if not any(folder.iterdir()):
            folder.rmdir()
    return photos


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"folds": 3}, marks=pytest.mark.slow),
        pytest.param({"fine_tune": "top", "backbone": "EfficientNetLite0"}, marks=pytest.mark.slow),
    ],
    ids=["head", "folds", "fine-tuned"],
)
def test_permuted_test_labels_change_only_the_metrics_of_the_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    photos = with_own_splits(write_shapes(tmp_path / "photos", 12))
    manifests, trained = [], []
    for name, change in (("true", lambda verdict: verdict), ("permuted", permuted)):

        def changed_dataset(*arguments: Any, change: Any = change) -> Verdict:
            found: Verdict = change(check_dataset(*arguments))
            return found

        monkeypatch.setattr(recorded_dataset, "check_dataset", changed_dataset)
        workspace = Workspace(tmp_path / name)
        workspace.models.mkdir(parents=True)
        config = TrainConfig(**{"folds": 0, "image_size": 64, "epochs": 6} | options, dataset=str(photos), name="m")
        trainer.train(config, workspace)
        trained.append(workspace)
        manifests.append(json.loads((workspace.models / "m" / MANIFEST).read_text(encoding="utf-8")))

    files = [manifest["files"] for manifest in manifests]
    metrics = [manifest["metrics"].pop("test") for manifest in manifests]
    assert metrics[0]["accuracy"] != metrics[1]["accuracy"]
    assert {"temperature", "thresholds"} <= manifests[0].keys() and "val" in manifests[0]["metrics"]
    texts = [json.dumps({key: value for key, value in manifest.items() if key not in TIMED}) for manifest in manifests]
    assert texts[0] == texts[1]
    assert rows(trained[0], "m") == rows(trained[1], "m")
    for file in (ONNX_MODEL, TRAINING_FEATURES, HELD_OUT_FEATURES):
        assert file in files[0]
    differing = {file for file in files[0] if files[0][file] != files[1].get(file)}
    # The Keras file has the time in it, the ONNX file numbers of layers: their weights are compared below.
    differing -= {KERAS_MODEL, ONNX_MODEL}
    assert [file for file in sorted(differing) if not file.startswith(SHOW_THE_TEST)] == []
    assert onnx_weights(trained[0]) == onnx_weights(trained[1])
    assert keras_weights(trained[0]) == keras_weights(trained[1])


def onnx_weights(workspace: Workspace) -> list[bytes]:
    """The weights of model.onnx."""
    import onnx

    graph = onnx.load(workspace.models / "m" / ONNX_MODEL).graph
    return sorted(onnx.numpy_helper.to_array(tensor).tobytes() for tensor in graph.initializer)


def keras_weights(workspace: Workspace) -> list[bytes]:
    """The weights of model.keras."""
    import keras

    network = keras.saving.load_model(workspace.models / "m" / KERAS_MODEL, compile=False)
    return [np.asarray(weight).tobytes() for weight in network.weights]
