"""Augmentation in complete trainings: views are trained on, cached and deterministic."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from model.backbones import BACKBONES
from model.config import TrainConfig
from model.features.cache import FeatureCache
from model.features.views import View
from model.registry import find_bundle
from model.results import InputSpec, no_progress
from model.runs.trainer import resume, train
from model.tracking.tensorboard_log import PICTURES
from model.workspace import Workspace
from tests.support.event_files import logged_images, read
from tests.support.tiny_network import REPLACED
from tests.support.trainings import Interruption, rows


def config(shapes: Path, name: str, **options: object) -> TrainConfig:
    return TrainConfig(dataset=str(shapes), name=name, image_size=64, epochs=5, **options)


def features_passes(workspace: Workspace, asked: TrainConfig) -> list[int]:
    """Train, and return how many images each pass of the backbone saw."""
    passes: list[int] = []

    def progress(phase: str, done: int, total: int, /, **_metrics: float) -> None:
        if phase == "features" and done == total:
            passes.append(total)

    train(asked, workspace, progress)
    return passes


@pytest.mark.slow
def test_views_change_the_head_deterministically(workspace, shapes):
    for name, text in (("plain", "none"), ("light", "light"), ("again", "light"), ("other", "medium")):
        train(config(shapes, name, augmentation=text, augmented_views=2), workspace)
    assert rows(workspace, "light") == rows(workspace, "again")
    assert len({str(rows(workspace, name)) for name in ("plain", "light", "other")}) == 3
    assert find_bundle(workspace, "light").manifest.train_config["augmentation"] == "light"
    [(step, sheet)] = logged_images(workspace.models / "light" / "logs", "augmentation")
    assert step == 0 and sheet.size == (1060, 1304)
    assert "augmentation" not in read(workspace.models / "plain" / "logs" / PICTURES).Tags()["images"]


@pytest.mark.slow
def test_no_views_is_no_augmentation(workspace, shapes):
    train(config(shapes, "plain", folds=0), workspace)
    train(config(shapes, "none", augmentation="strong", augmented_views=0, folds=0), workspace)
    assert rows(workspace, "plain") == rows(workspace, "none")


@pytest.mark.slow
@pytest.mark.usefixtures("empty_cache")
def test_views_are_extracted_once_and_one_more_view_adds_only_itself(workspace, shapes):
    images, train_images, val_images = 36, 24, 6
    passes = [
        features_passes(workspace, config(shapes, name, augmentation="light", augmented_views=views, folds=0))
        for name, views in (("first", 1), ("again", 1), ("more", 2))
    ]
    assert passes == [[images, train_images, val_images], [], [train_images, val_images]]


def test_the_cache_distinguishes_views_seeds_and_operations(workspace, shapes, monkeypatch):
    from model.augmentation import Operation
    from model.dataset.prepare import prepare_dataset

    monkeypatch.setenv("TOPGRAFT_CACHE", str(workspace.root / "cache"))
    verdict = prepare_dataset(shapes, TrainConfig(), workspace.root)
    cache = FeatureCache(BACKBONES["EfficientNetLite0"], InputSpec.square(16))
    crop, noise = (Operation("crop", 0.5),), (Operation("noise", 0.2),)
    views = [None, View(crop, 1, 1), View(crop, 1, 2), View(crop, 2, 1), View(noise, 1, 1)]

    def features(view: View | None) -> np.ndarray:
        samples = verdict.dataset.train
        return cache.extract(flat, samples, verdict.content_hashes, no_progress, view)

    seen = [features(view) for view in views]
    again = [features(view) for view in views]
    assert all(np.array_equal(one, other) for one, other in zip(seen, again, strict=True))
    assert len({values.tobytes() for values in seen}) == len(views)


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32)


@pytest.mark.usefixtures("tiny_network")
@pytest.mark.slow
def test_augmented_fine_tuning_can_be_interrupted_and_resumed_to_the_same_result(workspace, shapes):
    asked = config(
        shapes,
        "whole",
        backbone=REPLACED,
        fine_tune="top",
        fine_tune_epochs=3,
        augmentation="flip_lr|strong",
        augmented_views=2,
        checkpoint_minutes=0.0,
    )
    train(asked, workspace)

    def stop(phase: str, done: int, _total: int, /, **_metrics: float) -> None:
        if phase == "fine_tune" and done == 2:
            raise Interruption

    with pytest.raises(Interruption):
        train(dataclasses.replace(asked, name="cut"), workspace, stop)
    resume("cut", workspace)
    assert rows(workspace, "cut") == rows(workspace, "whole")
    plain = dataclasses.replace(asked, name="plain", augmentation="none")
    train(plain, workspace)
    assert rows(workspace, "plain") != rows(workspace, "whole")
