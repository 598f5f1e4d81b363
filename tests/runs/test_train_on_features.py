"""Training on features written by `featurize`: the same model as on the photos, also in parts larger than memory."""

import csv
import dataclasses
import shutil
from pathlib import Path

import pytest

from model.bundle import Bundle
from model.config import PredictConfig, TrainConfig
from model.errors import ConfigError, DatasetError
from model.registry import find_bundle
from model.results import no_progress
from model.runs import feature_dataset
from model.runs.starting import start_run
from model.runs.trainer import resume, train
from model.scale.featurize import featurize
from model.scale.network import backbone_network
from model.scale.parts import SUCCESS, open_parts
from model.scale.scoring import FeatureScorer
from model.scale.source import SplitOptions
from model.serving.predictor import load_predictor
from model.workspace import Workspace
from tests.support.shapes import CLASSES, write_shapes

OPTIONS = TrainConfig(epochs=15, image_size=96, folds=0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Photos of shapes in folders of splits; one cannot be read."""
    folder = tmp_path_factory.mktemp("photos") / "photos"
    for seed, (split, number) in enumerate({"train": 12, "val": 6, "test": 6}.items()):
        write_shapes(folder / split, number, seed)
    (folder / "train" / "circle" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    return folder


@pytest.fixture(scope="module")
def features(photos, tmp_path_factory) -> Path:
    """The features of the photos, ten in a part."""
    out = tmp_path_factory.mktemp("features") / "out"
    featurize(str(photos), str(out), backbone_network(OPTIONS), SplitOptions(0.15, 0.15, 42), max_photos=10)
    return out


@pytest.fixture(scope="module")
def workspace_of_models(tmp_path_factory) -> Workspace:
    """A workspace for trained models."""
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    workspace.models.mkdir()
    return workspace


@pytest.fixture(scope="module")
def from_features(workspace_of_models, features) -> Bundle:
    """A model trained on the features."""
    train(TrainConfig(features=str(features), name="features", epochs=15), workspace_of_models)
    return find_bundle(workspace_of_models, "features")


def _figures(bundle: Bundle, *dropped: str) -> list[dict[str, str]]:
    with open(bundle.directory / "results.csv", encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if key not in dropped} for row in csv.DictReader(file)]


@pytest.mark.slow
def test_features_in_memory_give_the_model_of_the_photos(workspace_of_models, photos, from_features):
    train(dataclasses.replace(OPTIONS, dataset=str(photos), name="photos"), workspace_of_models)
    expected = find_bundle(workspace_of_models, "photos")
    assert _figures(from_features, "seconds") == _figures(expected, "seconds")
    assert from_features.manifest.metrics == expected.manifest.metrics
    assert from_features.manifest.temperature == expected.manifest.temperature
    for name in ("fingerprint", "counts", "rejected", "leakage"):
        assert from_features.manifest.dataset[name] == expected.manifest.dataset[name]
    for name in ("train.txt", "val.sha256", "test.txt", "classes.txt"):
        files = [bundle.directory / "dataset_files" / name for bundle in (from_features, expected)]
        first, second = (sorted(line.split("/", 1)[-1] for line in path.read_text().splitlines()) for path in files)
        assert first == second


@pytest.mark.slow
def test_the_model_serves_photos(from_features, photos):
    from_features.verify()
    predictor = load_predictor(from_features)
    predictions = predictor.predict([photos / "test" / name / "000.jpg" for name in CLASSES])
    assert [prediction.labels[0] for prediction in predictions] == list(CLASSES)


@pytest.mark.slow
def test_features_in_parts_give_a_model_of_all_rows(workspace_of_models, features, photos, monkeypatch, from_features):
    monkeypatch.setattr(feature_dataset, "are_features_small", lambda rows, features: False)
    monkeypatch.setattr(feature_dataset, "MAX_IMAGES", 20)
    monkeypatch.setattr(feature_dataset, "MAX_TEST", 9)
    config = TrainConfig(features=str(features), name="parts", epochs=15, batch_size=1)
    result = train(config, workspace_of_models)
    bundle = find_bundle(workspace_of_models, "parts")
    bundle.verify()
    counts = {split: dict.fromkeys(CLASSES, number) for split, number in {"train": 12, "val": 6, "test": 6}.items()}
    assert bundle.manifest.dataset["counts"] == counts
    assert bundle.manifest.metrics["test"]["images"] == 9 and result.metrics["val"]["accuracy"] > 0.7
    assert any("9 of 18 test photos" in warning for warning in result.warnings)
    lists, all_lists = (one.directory / "dataset_files" for one in (bundle, from_features))
    for name in ("train.txt", "train.sha256", "val.txt", "test.txt"):
        assert (lists / name).read_text() == (all_lists / name).read_text()
    predictor = load_predictor(bundle)
    found = predictor.predict([photos / "train" / name / "001.jpg" for name in CLASSES])
    assert [prediction.labels[0] for prediction in found] == list(CLASSES)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"dataset": "photos"}, "dataset"),
        ({"augmentation": "light", "fine_tune": "top"}, "fine_tune, augmentation"),
        ({"backbone": "EfficientNetLite1", "tune_minutes": 1.0}, "backbone, tune_minutes"),
        ({"precision": "int8", "val_fraction": 0.3}, "val_fraction, precision"),
    ],
)
def test_options_that_need_photos_are_refused_by_name(workspace, features, options, named):
    with pytest.raises(ConfigError, match=f"received {named}. Remove them"):
        train(TrainConfig(features=str(features), **options), workspace)
    assert not list(workspace.running.glob("*/status.json"))


def test_an_interrupted_run_and_parts_of_another_plan_are_refused(workspace, features, tmp_path):
    copy = shutil.copytree(features, tmp_path / "copy")
    (copy / SUCCESS).unlink()
    with pytest.raises(DatasetError, match="interrupted run"):
        train(TrainConfig(features=str(copy)), workspace)
    copy = shutil.copytree(features, tmp_path / "mixed")
    plan = (copy / "plan.json").read_text()
    (copy / "plan.json").write_text(plan.replace('"squash"', '"pad"'))
    with pytest.raises(ConfigError, match="another plan"):
        train(TrainConfig(features=str(copy)), workspace)


def test_features_of_an_unknown_training_are_refused(workspace, features):
    run = start_run(TrainConfig(features=str(features), name="begun"), workspace)
    run.work.mkdir()
    run.fingerprint.write_bytes(b"\xff damaged")
    with run.lock, pytest.raises(DatasetError, match="training begun started with, found those of another plan"):
        feature_dataset.open_features(TrainConfig(features=str(features)), workspace, run, no_progress)


def test_features_of_another_network_are_refused(workspace, features, tmp_path):
    copy = shutil.copytree(features, tmp_path / "copy")
    digest = open_parts(str(features)).plan.graph_sha256
    plan = (copy / "plan.json").read_text()
    (copy / "plan.json").write_text(plan.replace(digest, "0" * 64))
    with pytest.raises(ConfigError, match="expected features of this EfficientNetLite0"):
        train(TrainConfig(features=str(copy)), workspace)


@pytest.mark.slow
def test_the_model_predicts_the_features_of_its_backbone(from_features, features, photos):
    scorer = FeatureScorer(load_predictor(from_features), open_parts(str(features)), PredictConfig())
    found = [item for number in range(len(scorer.parts)) for item in scorer.predict(number) if item.error is None]
    expected = scorer.predictor.predict([photos / item.image for item in found])
    assert [item.labels for item in found] == [item.labels for item in expected]
    assert [item.probabilities for item in found] == [pytest.approx(item.probabilities, abs=1e-5) for item in expected]


@pytest.mark.slow
def test_an_interrupted_training_in_parts_is_resumed_to_the_same_head(workspace, features, monkeypatch):
    monkeypatch.setattr(feature_dataset, "are_features_small", lambda rows, features: False)
    options = TrainConfig(features=str(features), epochs=8, batch_size=1, checkpoint_minutes=0.0)
    train(dataclasses.replace(options, name="whole"), workspace)

    def interrupt(phase: str, done: int, total: int, /, **metrics: float) -> None:
        if phase == "head" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(dataclasses.replace(options, name="resumed"), workspace, interrupt)
    # The machine may have more free memory now.
    monkeypatch.undo()
    resume("resumed", workspace)
    whole, resumed = (find_bundle(workspace, name) for name in ("whole", "resumed"))
    assert _figures(resumed, "seconds") == _figures(whole, "seconds")
    assert resumed.manifest.metrics == whole.manifest.metrics
