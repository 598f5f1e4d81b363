"""Photos that are deleted, moved or changed while a training runs: what was learned is not lost."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.augmentation import parse_augmentation
from model.backbones import find_backbone
from model.config import TrainConfig
from model.dataset.prepare import prepare_dataset
from model.dataset.rereading import PhotoReader
from model.dataset.training_data import TrainingData
from model.errors import DatasetError, ImageError
from model.features.cache import FeatureCache
from model.features.contact_sheet import draw_contact_sheet
from model.features.views import View
from model.registry import find_bundle
from model.results import SPLITS, InputSpec, no_progress
from model.runs.recorded_dataset import dataset_to_resume, read_recorded, record_dataset, without_lost_photos
from model.runs.trainer import resume, train
from model.workspace import Workspace
from tests.support.photos import write_photos
from tests.support.trainings import Interruption

SPEC = InputSpec.square(16)


def _delete(path: Path) -> None:
    path.unlink()


def _move(path: Path) -> None:
    path.rename(path.with_name("moved.jpg"))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def _replace(path: Path) -> None:
    shutil.copyfile(sorted(path.parent.glob("*.jpg"))[-1], path)


def _make_unreadable(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES: list[Callable[[Path], None]] = [_delete, _move, _truncate, _replace, _make_unreadable]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes with eight photos each, in a folder that may be changed."""
    return write_photos(tmp_path / "photos")


@pytest.fixture
def data(photos: Path, tmp_path: Path) -> TrainingData:
    return prepare_dataset(photos, TrainConfig(), tmp_path).training_data


@pytest.mark.parametrize("change", CHANGES)
def test_other_photos_take_the_place_of_those_that_are_gone(change: Callable[[Path], None], data: TrainingData) -> None:
    lost = data.source[0]
    change(lost.path)
    reader = PhotoReader(data.content_hashes)
    images = reader.some(data.source, 8, SPEC)
    assert images.shape == (8, 16, 16, 3) and list(reader.missing) == [lost.name]
    [warning] = reader.warnings("other photos were used")
    assert lost.name in warning and warning.endswith(": other photos were used")
    read = [sample for samples, _ in reader.batches(data.source, SPEC, 4) for sample in samples]
    assert read == list(data.source[1:])


def test_there_are_no_images_if_all_photos_are_gone(data: TrainingData) -> None:
    for sample in data.source:
        sample.path.unlink()
    reader = PhotoReader()
    assert reader.some(data.source, 8, SPEC).shape == (0, 16, 16, 3)
    assert len(reader.missing) == len(data)


def test_the_contact_sheet_shows_other_photos(data: TrainingData) -> None:
    data.samples("train")[0].path.unlink()
    sheet = draw_contact_sheet(data, parse_augmentation("flip_lr", 5), SPEC, 0)
    assert sheet.width > 0


@pytest.mark.parametrize("change", CHANGES)
def test_a_recorded_dataset_is_resumed_if_features_of_the_lost_photos_are_cached(
    change: Callable[[Path], None], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig()
    verdict = prepare_dataset(photos, config, tmp_path)
    record_dataset(tmp_path / "dataset.json", verdict)
    recorded = read_recorded(tmp_path / "dataset.json")
    assert recorded == verdict
    assert dataset_to_resume(recorded, config) == verdict

    lost = verdict.dataset.samples[0]
    change(lost.path)
    asked: list[str] = []
    monkeypatch.setattr("model.features.cache.FeatureCache.has", lambda self, keys: bool(asked.extend(keys)) or True)
    resumed = dataset_to_resume(recorded, config)
    assert resumed is not None and resumed.dataset == verdict.dataset
    assert asked == [verdict.content_hashes[lost.name]]
    assert lost.name in resumed.warnings[-1] and "cached features" in resumed.warnings[-1]
    monkeypatch.setattr("model.features.cache.FeatureCache.has", lambda self, keys: False)
    assert dataset_to_resume(recorded, config) is None
    assert dataset_to_resume(recorded, TrainConfig(weights="none")) is None


@pytest.mark.parametrize("change", CHANGES)
def test_views_of_lost_photos_are_replaced_by_their_cached_features(
    change: Callable[[Path], None], data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPGRAFT_CACHE", str(tmp_path / "cache"))
    cache = FeatureCache(find_backbone("EfficientNetLite0"), SPEC)

    def extract(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(np.float32)

    def features(view: View | None) -> np.ndarray:
        return cache.extract(extract, data.source, data.content_hashes, no_progress, view)

    first, second = (View(parse_augmentation("flip_lr", 5), seed, 1) for seed in (1, 2))
    plain = features(None)
    expected = cache.extract(extract, data.source[1:], data.content_hashes, no_progress, first)
    change(data.source[0].path)
    found = features(first)
    assert np.array_equal(found[0], plain[0]) and np.array_equal(found[1:], expected)
    for sample in data.source[1:]:
        sample.path.unlink()
    assert np.array_equal(features(second), plain)


def test_a_photo_without_cached_features_cannot_be_replaced(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPGRAFT_CACHE", str(tmp_path / "cache"))
    data.source[0].path.unlink()
    cache = FeatureCache(find_backbone("EfficientNetLite0"), SPEC)
    for view in (None, View(parse_augmentation("flip_lr", 5), 1, 1)):
        with pytest.raises(ImageError, match=data.names[0]):
            cache.extract(lambda images: images[:, 0, 0, :], data.source, data.content_hashes, no_progress, view)


def test_another_dataset_is_not_resumed(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = prepare_dataset(photos, TrainConfig(), tmp_path)
    monkeypatch.setattr("model.features.cache.FeatureCache.has", lambda self, keys: True)
    for sample in verdict.dataset.samples[:9]:
        sample.path.unlink()
    assert dataset_to_resume(verdict, TrainConfig()) is None


def test_photos_added_since_are_not_used(photos: Path, tmp_path: Path) -> None:
    verdict = prepare_dataset(photos, TrainConfig(), tmp_path)
    shutil.copyfile(photos / "red" / "0.jpg", photos / "red" / "new.jpg")
    assert dataset_to_resume(verdict, TrainConfig()) == verdict


def test_a_record_of_another_version_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text('{"dataset": {"root": "/x"}}')
    assert read_recorded(tmp_path / "dataset.json") is None
    assert read_recorded(tmp_path / "none.json") is None


def _at(phase: str, act: Callable[[], None]) -> Callable[..., None]:
    """Progress that calls `act` once, at the first report of a phase."""
    done: list[str] = []

    def progress(reported: str, _done: int, _total: int, /, **_metrics: float) -> None:
        if reported == phase and not done:
            done.append(reported)
            act()

    return progress


def _config(dataset: Path, **options: Any) -> TrainConfig:
    return TrainConfig(dataset=str(dataset), name="m", image_size=64, epochs=3, **options)


@pytest.mark.slow  # complete trainings
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_photo_deleted_during_the_training_costs_nothing(
    precision: str, workspace: Workspace, shapes: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(shapes, mine)
    lost = [mine / "circle" / "000.jpg", mine / "square" / "011.jpg"]
    config = _config(mine, precision=precision, folds=0)
    result = train(config, workspace, _at("head", lambda: [path.unlink() for path in lost] and None))
    bundle = find_bundle(workspace, "m")
    bundle.verify()
    assert bundle.manifest.parity["images"] == 8
    assert any("circle/000.jpg" in warning for warning in result.warnings)


@pytest.mark.slow  # complete trainings
@pytest.mark.parametrize(
    ("phase", "options"),
    [
        ("prepare", {}),
        ("features", {"folds": 0}),
        ("fine_tune_inputs", {"folds": 0, "fine_tune": "last"}),
        ("prepare", {"weights": "none", "folds": 0}),
        ("tune", {"tune_minutes": 0.5}),
    ],
)
def test_photos_lost_before_they_are_read_are_rejected_and_the_others_are_learned(
    phase: str,
    options: dict[str, Any],
    workspace: Workspace,
    shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOPGRAFT_CACHE", str(tmp_path / "cache"))
    mine = tmp_path / "mine"
    shutil.copytree(shapes, mine)
    lost = [f"{name}/011.jpg" for name in ("circle", "square", "triangle")]
    config = _config(mine, **options)
    train(config, workspace, _at(phase, lambda: [(mine / name).unlink() for name in lost] and None))
    bundle = find_bundle(workspace, "m")
    bundle.verify()
    with open(bundle.directory / "dataset_files" / "rejected.csv", newline="") as stream:
        rejected = {row["name"]: row["reason"] for row in csv.DictReader(stream)}
    assert sorted(rejected) == lost
    assert all("gone or changed during the training" in reason for reason in rejected.values())
    lists = "".join((bundle.directory / "dataset_files" / f"{split}.txt").read_text() for split in SPLITS)
    assert len(lists.splitlines()) == 33
    assert not any(name in lists for name in lost)


def test_too_many_lost_photos_end_the_training(photos: Path, tmp_path: Path) -> None:
    config = TrainConfig(max_bad_fraction=0.1)
    verdict = prepare_dataset(photos, config, tmp_path)
    assert without_lost_photos(verdict, config) is None
    names = [sample.name for sample in verdict.dataset.samples]
    (photos / names[0]).unlink()
    remaining = without_lost_photos(verdict, config)
    assert remaining is not None
    assert [sample.name for sample in remaining.dataset.samples] == names[1:]
    assert remaining.rejected[-1].name == names[0]
    assert remaining.training_data.names == tuple(names[1:])
    for name in names[1:3]:
        (photos / name).unlink()
    with pytest.raises(DatasetError, match="3 of 16 photos are gone or changed since the checks, expected at most max"):
        without_lost_photos(verdict, config)


@pytest.mark.slow  # complete trainings
def test_an_interrupted_training_is_resumed_without_the_photo(
    workspace: Workspace, shapes: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(shapes, mine)

    def interrupt() -> None:
        raise Interruption

    with pytest.raises(Interruption):
        train(_config(mine), workspace, _at("export", interrupt))
    (mine / "circle" / "000.jpg").unlink()
    (mine / "square" / "005.jpg").rename(mine / "square" / "renamed.jpg")
    result = resume("m", workspace)
    assert any("2 photos were gone or changed" in warning for warning in result.warnings)
    counts = find_bundle(workspace, "m").manifest.dataset["counts"]
    assert sum(counts[split][name] for split in counts for name in counts[split]) == 36
