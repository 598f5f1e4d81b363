"""The results of trainings, searches and imports as JSON: what the command and the HTTP API answer."""

import json
from pathlib import Path

import pytest

from model.config import TrainConfig
from model.training_result import (
    ImportResult,
    TrackedRun,
    TrainingResult,
    Tuning,
    TuningResult,
    TuningRow,
    Uploaded,
    summarize,
)

ROW = TuningRow("EfficientNetLite0", {"mixup": 0.2}, 4, 0.31, 0.9, (0.8, 0.95), 0.88, (0.79, 0.94), 3.5, 13.0, True)
TUNING = Tuning(TrainConfig(name="pets", mixup=0.2), (ROW,), {"ResNet50": "no weights"}, "It is best.", 4, 40, 12.5)
METRICS = {"val": {"images": 4, "accuracy": 1.0}, "test": {"images": 6, "accuracy": 0.5}}
TRAINED = TrainingResult(
    model="pets",
    path=Path("/work/models/pets"),
    metrics=METRICS,
    warnings=("few images",),
    seconds=3.2,
    tuning=TUNING,
    remarks=("the head was kept",),
    marks=("unknown is off: too few photos",),
    upload=Uploaded("rshare:models/pets.tar.xz", "0" * 64, 13_000_000, 1.5),
    mlflow=TrackedRun("topgraft", "abc", "http://127.0.0.1:5000/abc", "topgraft", "3"),
)
PLAIN = TrainingResult("pets", Path("/work/models/pets"), METRICS, (), 3.2)
IMPORTED = ImportResult(
    model="terns",
    path=Path("/work/models/terns"),
    metrics={},
    warnings=(),
    seconds=0.1,
    backbone="EfficientNetLite0",
    classes=3,
    image_size=224,
    engine="onnx",
    max_difference=None,
    imported_from="terns.tar.xz",
)


@pytest.mark.parametrize("result", [TRAINED, PLAIN, IMPORTED], ids=["all", "plain", "imported"])
def test_a_result_survives_json(result: TrainingResult) -> None:
    assert TrainingResult.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False))) == result


def test_a_training_returns_its_model() -> None:
    always = ["status", "model", "path", "metrics", "warnings", "seconds"]
    assert list(PLAIN.to_json()) == [*always, "remarks", "marks"]
    assert list(TRAINED.to_json()) == [*always, "tuning", "remarks", "marks", "upload", "mlflow"]
    assert TRAINED.to_json()["path"] == "/work/models/pets"
    assert TRAINED.to_json()["tuning"]["options"] == {"name": "pets", "mixup": 0.2}


def test_an_import_returns_the_imported_model() -> None:
    described = ["backbone", "classes", "image_size", "engine", "metrics", "max_difference", "warnings", "seconds"]
    assert list(IMPORTED.to_json()) == ["status", "model", "path", *described, "imported_from"]


def test_a_search_returns_its_table_and_the_options_to_train_with() -> None:
    result = TuningResult(TUNING, ("few images",), 15.0)
    assert list(result.to_json()) == ["status", "warnings", "seconds", "tuning"]
    assert result.options == {"mixup": 0.2}


def test_the_metrics_of_a_result_are_a_few_of_the_manifest_and_plain_json() -> None:
    stored = {"test": {"accuracy": float("nan"), "images": 3, "per_class": []}}
    assert summarize(stored) == {"test": {"images": 3, "accuracy": None}}
