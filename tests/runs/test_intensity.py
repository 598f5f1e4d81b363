"""Trainings on photos of which the full range of the type leaves nothing but black: their range reaches every step."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.bundle import Bundle
from model.config import TrainConfig
from model.evaluation.dataset_evaluation import evaluate_on_dataset
from model.intensity import FULL, IntensityRange
from model.registry import find_bundle
from model.runs.trainer import resume, train
from model.serving.predictor import load_predictor
from model.workspace import Workspace
from tests.support.shapes import CLASSES, write_shapes
from tests.support.trainings import Interruption

pytestmark = pytest.mark.slow

ConfigOf = Callable[..., TrainConfig]


def write_dim_photos(directory: Path, source: Path) -> Path:
    """16-bit TIFFs with the values 100 to 151, and hot pixels."""
    rng = np.random.default_rng(0)
    for path in sorted(source.rglob("*.jpg")):
        values = 100 + np.asarray(Image.open(path).convert("L")).astype(np.uint16) // 5
        values[rng.random(values.shape) < 0.001] = 65535
        target = directory / path.parent.name / f"{path.stem}.tif"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(target)
    return directory


@pytest.fixture(scope="module")
def dim(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    """The photos to train on."""
    return write_dim_photos(tmp_path_factory.mktemp("dim") / "dim", shapes)


@pytest.fixture(scope="module")
def dim_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight other photos of each class."""
    root = tmp_path_factory.mktemp("dim_test")
    return write_dim_photos(root / "dim", write_shapes(root / "shapes", 8, seed=5))


@pytest.fixture
def config(dim: Path) -> ConfigOf:
    """Options of a training on the photos."""
    return lambda **options: TrainConfig(dataset=str(dim), name="dim", image_size=128, **options)


def accuracy(bundle: Bundle, photos: Path) -> float:
    predictor = load_predictor(bundle)
    paths = sorted(photos.rglob("*.tif"))
    predictions = predictor.predict(paths)
    assert not any(prediction.warning or prediction.error for prediction in predictions)
    return float(np.mean([item.labels[0] == path.parent.name for item, path in zip(predictions, paths, strict=True)]))


@pytest.mark.parametrize(
    "options",
    [
        {"augmentation": "light", "augmented_views": 1, "precision": "int8"},
        {"folds": 0, "fine_tune": "top", "fine_tune_epochs": 1},
        {"folds": 0, "tune_minutes": 0.1, "tune_backbones": "EfficientNetLite0"},
    ],
    ids=["cross-validated, augmented, int8", "fine-tuned", "searched"],
)
def test_dim_photos_are_learned(workspace: Workspace, config: ConfigOf, dim_test: Path, options: dict) -> None:
    train(config(**options), workspace)
    bundle = find_bundle(workspace, "dim")
    found = bundle.manifest.intensity
    assert isinstance(found, IntensityRange) and 98 <= found.low <= 105 and 145 <= found.high <= 153
    assert bundle.manifest.train_config["intensity"] == "auto"
    assert accuracy(bundle, dim_test) >= 0.75
    report = (bundle.directory / "report.html").read_text(encoding="utf-8")
    assert f"{found.low:.0f} to {found.high:.0f}" in report
    assert f"{found.low:.0f} to {found.high:.0f}" in (bundle.directory / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_by_the_full_range_nothing_of_dim_photos_is_learned(
    workspace: Workspace, config: ConfigOf, dim_test: Path
) -> None:
    result = train(config(folds=0, intensity="full"), workspace)
    assert any("fewer than 16 gray levels" in warning for warning in result.warnings)
    bundle = find_bundle(workspace, "dim")
    assert bundle.manifest.intensity == FULL
    paths = sorted(dim_test.rglob("*.tif"))
    predictions = load_predictor(bundle).predict(paths)
    correct = [item.labels[0] == path.parent.name for item, path in zip(predictions, paths, strict=True)]
    assert np.mean(correct) < 0.65
    assert all("use less than 1/16 of the full range" in item.warning for item in predictions)


@pytest.mark.usefixtures("empty_cache")
def test_a_resumed_training_has_the_range_of_its_start(workspace: Workspace, config: ConfigOf) -> None:
    def stop(phase: str, done: int, total: int, /, **metrics: float) -> None:
        if phase == "features":
            raise Interruption

    with pytest.raises(Interruption):
        train(config(folds=0, epochs=3, intensity="90,160"), workspace, stop)
    resume("dim", workspace)
    assert find_bundle(workspace, "dim").manifest.intensity == IntensityRange(90, 160)


def test_an_evaluation_reports_photos_outside_the_range_of_the_model(
    workspace: Workspace, config: ConfigOf, dim: Path, tmp_path: Path
) -> None:
    train(config(folds=0, epochs=10), workspace)
    bundle = find_bundle(workspace, "dim")
    for path in dim.rglob("*.tif"):
        bright = tmp_path / "bright" / path.parent.name / path.name
        bright.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(Image.open(path)) * np.uint16(10)).save(bright)
    evaluated = evaluate_on_dataset(bundle, str(tmp_path / "bright"), workspace)
    assert any(
        "36 photos with more than half of the values outside the intensity" in text for text in evaluated.warnings
    )
    content = json.loads((bundle.directory / "manifest.json").read_text())
    assert content["format_version"] == 3 and content["intensity"].keys() == {"low", "high"}
    assert content["classes"] == list(CLASSES)
