"""Cross-validation: every image is predicted by a head that was not trained on it."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from model.config import TrainConfig
from model.dataset.prepare import prepare_dataset
from model.dataset.training_data import TrainingData
from model.ignored_options import ignored_options
from model.measurements import wilson_interval
from model.results import Sample
from model.runs.trainer import train
from model.training.cross_validation import CrossValidation, FoldPlan, cross_validate, settled_out_of_fold
from model.training.deadline import Deadline
from model.training.head import refit_head, train_head
from model.training.head_candidates import L2_OF_CONVERGED, Head, HeadOptions, LabelledFeatures
from model.workspace import Workspace
from tests.support.shapes import CLASSES

OPTIONS = HeadOptions(epochs=60, patience=10, batch_size=16, learning_rate=1.0, l2=None, seed=0)
CENTRES = np.random.default_rng(0).normal(0, 1, (3, 20)).astype(np.float32)


def _data(labels: np.ndarray, groups: np.ndarray | None = None) -> TrainingData:
    rows = np.arange(len(labels))
    samples = tuple(Sample(Path(), f"{number:04}.jpg", int(label)) for number, label in enumerate(labels))
    names = tuple(sample.name for sample in samples)
    return TrainingData(CLASSES, names, labels, rows if groups is None else groups, {}, {"train": rows}, samples)


def _blobs(labels: np.ndarray, seed: int, spread: float = 1.5) -> LabelledFeatures:
    noise = np.random.default_rng(seed).normal(0, spread, (len(labels), 20))
    return LabelledFeatures((CENTRES[labels] + noise).astype(np.float32), labels, np.ones(len(labels), np.float32))


def _run(images: LabelledFeatures, groups: np.ndarray | None = None, seed: int = 0) -> CrossValidation:
    data = _data(images.labels, groups)
    found = cross_validate(data, images, FoldPlan(5, seed), OPTIONS)
    assert found is not None
    return found


def _accuracy(found: CrossValidation, labels: np.ndarray) -> float:
    return float((found.logits.argmax(axis=1) == labels).mean())


def test_random_labels_are_predicted_at_chance_level():
    labels = np.random.default_rng(1).integers(0, 3, 300)
    noise = dataclasses.replace(_blobs(np.zeros(300, int), 2), labels=labels)
    low, high = wilson_interval(100, 300)
    assert low < _accuracy(_run(noise), labels) < high


def test_copies_in_one_group_do_not_leak():
    labels = np.repeat(np.random.default_rng(1).integers(0, 3, 75), 4)
    features = np.repeat(np.random.default_rng(2).normal(0, 1, (75, 100)), 4, axis=0).astype(np.float32)
    copies = LabelledFeatures(features, labels, np.ones(300, np.float32))
    low, high = wilson_interval(25, 75)
    assert low < _accuracy(_run(copies, np.repeat(np.arange(75), 4)), labels) < high
    # The same images, taken for strangers: this is the leakage that the groups prevent.
    assert _accuracy(_run(copies), labels) > 0.9


def test_the_accuracy_equals_that_on_new_images():
    labels, many = np.tile(np.arange(3), 15), np.tile(np.arange(3), 1000)
    new = _blobs(many, seed=99)
    claimed, true = [], []
    for seed in range(6):
        images = _blobs(labels, seed)
        found = _run(images, seed=seed)
        claimed.append(_accuracy(found, labels))
        head = _head_of_all(images, found)
        true.append(float((head.logits(new.features).argmax(axis=1) == many).mean()))
    assert np.mean(claimed) == pytest.approx(np.mean(true), abs=0.05)


def _head_of_all(images: LabelledFeatures, found: CrossValidation):
    settled, options = found.settled(Head(np.zeros((20, 3)), np.zeros(3), 0.0, 0, ()), OPTIONS)
    return refit_head(images, 3, settled, options)


def test_settled_folds_predict_like_new_images_without_learning_from_them():
    images, new = _blobs(np.arange(240) % 3, 3), _blobs(np.arange(3000) % 3, 4)
    head = train_head(images, new, 3, OPTIONS)
    logits = settled_out_of_fold(_data(images.labels), images, head, OPTIONS, seed=0)
    accuracy = float((logits.argmax(axis=1) == images.labels).mean())
    low, high = wilson_interval(round(240 * accuracy), 240)
    assert low < float((head.logits(new.features).argmax(axis=1) == new.labels).mean()) < high
    noise = dataclasses.replace(images, labels=np.random.default_rng(1).integers(0, 3, 240))
    guessed = settled_out_of_fold(_data(noise.labels), noise, head, OPTIONS, seed=0)
    low, high = wilson_interval(80, 240)
    assert low < float((guessed.argmax(axis=1) == noise.labels).mean()) < high


def test_noise_is_predicted_at_chance_level_with_two_images_of_each_class():
    """In folds that lack a class, the classes that they have would be predicted less often than by chance."""
    correct = []
    for seed in range(50):
        labels = np.arange(6) % 3
        images = dataclasses.replace(_blobs(np.zeros(6, int), seed), labels=labels)
        head = Head(np.zeros((20, 3), np.float32), np.zeros(3, np.float32), 0.1, 50, ())
        logits = settled_out_of_fold(_data(images.labels), images, head, OPTIONS, seed)
        correct += (logits.argmax(axis=1) == images.labels).tolist()
    low, high = wilson_interval(sum(correct), len(correct))
    assert low < 1 / 3 < high


def test_settled_folds_keep_groups_together_and_depend_on_the_seed_only():
    labels = np.repeat(np.random.default_rng(1).integers(0, 3, 75), 4)
    features = np.repeat(np.random.default_rng(2).normal(0, 1, (75, 100)), 4, axis=0).astype(np.float32)
    copies = LabelledFeatures(features, labels, np.ones(300, np.float32))
    head = train_head(copies, copies, 3, OPTIONS)
    data = _data(labels, np.repeat(np.arange(75), 4))
    logits = settled_out_of_fold(data, copies, head, OPTIONS, seed=0)
    low, high = wilson_interval(25, 75)
    assert low < float((logits.argmax(axis=1) == labels).mean()) < high
    assert np.array_equal(logits, settled_out_of_fold(data, copies, head, OPTIONS, seed=0))


def test_every_image_has_a_prediction_and_the_seed_makes_it_deterministic():
    images = _blobs(np.tile(np.arange(3), 8), 3)
    first, second = _run(images), _run(images)
    assert np.array_equal(first.logits, second.logits) and (first.l2, first.epochs) == (second.l2, second.epochs)
    assert (np.abs(first.logits).sum(axis=1) > 0).all() and first.epochs >= 1


def test_heads_of_folds_converge_and_that_of_all_images_gets_less_l2():
    images = _blobs(np.tile(np.arange(3), 8), 3, spread=3.0)
    found = _run(images)
    assert found.epochs == OPTIONS.epochs
    assert any(found.l2 == pytest.approx(strength * 0.8) for strength in L2_OF_CONVERGED)
    given = cross_validate(_data(images.labels), images, FoldPlan(5, 0), dataclasses.replace(OPTIONS, l2=0.5))
    assert given is not None and given.l2 == 0.5


def _along_noise(labels: np.ndarray, seed: int) -> LabelledFeatures:
    """Images of a class that differ by much along a few directions, which do not separate the classes."""
    features = _blobs(labels, seed, spread=0.8).features
    features[:, :6] += np.random.default_rng(seed + 100).normal(0, 20.0, (len(labels), 6))
    return LabelledFeatures(features, labels, np.ones(len(labels), np.float32))


def test_features_are_whitened_where_the_folds_find_it_better():
    labels, many = np.tile(np.arange(3), 10), np.tile(np.arange(3), 500)
    images, new = _along_noise(labels, 0), _along_noise(many, 9)
    found = _run(images)
    assert found.whitened and found.loss < found.plain_loss
    chosen, options = found.settled(Head(np.zeros((20, 3)), np.zeros(3), 0.0, 0, ()), OPTIONS)
    plain = dataclasses.replace(options, whitened=False)
    whitened_accuracy, plain_accuracy = (
        float((refit_head(images, 3, chosen, each).logits(new.features).argmax(axis=1) == many).mean())
        for each in (options, plain)
    )
    assert whitened_accuracy > plain_accuracy + 0.05
    assert whitened_accuracy == pytest.approx(_accuracy(found, labels), abs=0.15)


def test_two_images_of_a_class_are_not_whitened():
    images = _along_noise(np.tile(np.arange(3), 2), 0)
    found = cross_validate(_data(images.labels), images, FoldPlan(2, 0), OPTIONS)
    assert found is not None and not found.whitened and found.loss == found.plain_loss


def test_minibatches_are_stopped_at_the_epoch_that_is_best_for_all_folds():
    images = _blobs(np.tile(np.arange(3), 8), 3, spread=3.0)
    options = dataclasses.replace(OPTIONS, mixup=0.2)
    found = cross_validate(_data(images.labels), images, FoldPlan(3, 0), options)
    assert found is not None and 1 <= found.epochs < options.epochs and found.l2 < 1e-2


def test_few_noisy_images_get_a_strong_l2_and_many_a_weak_one():
    strengths = [
        np.mean([_run(_blobs(np.tile(np.arange(3), count), seed, spread=2.0)).l2 for seed in range(2)])
        for count in (3, 60)
    ]
    assert strengths[0] > 10 * strengths[1]


def test_a_class_of_one_image_is_predicted_incorrectly_without_an_error():
    images = _blobs(np.array([0, 1, 2, 0, 1]), 4, spread=0.1)
    found = _run(images)
    assert found.logits[2].argmax() != 2 and np.isfinite(found.logits).all()


def test_a_passed_deadline_gives_no_partial_result():
    images = _blobs(np.tile(np.arange(3), 8), 3)
    plan = FoldPlan(5, 0)
    assert cross_validate(_data(images.labels), images, plan, OPTIONS, deadline=Deadline.after_minutes(0)) is None


@pytest.mark.parametrize(
    ("changes", "folds", "has_test"),
    [
        ({}, 10, False),
        ({"folds": 3}, 3, False),
        ({"folds": 0}, 0, True),
        ({"folds": 1}, 0, True),
        ({"weights": "none", "folds": 5}, 0, True),
        ({"fine_tune": "top"}, 0, True),
        ({"fine_tune": "top", "folds": 4}, 4, False),
    ],
)
def test_few_images_are_cross_validated_instead_of_tested(shapes, tmp_path, changes, folds, has_test):
    verdict = prepare_dataset(shapes, TrainConfig(**changes), tmp_path)
    assert (verdict.folds, bool(verdict.dataset.test)) == (folds, has_test)
    assert any("cross-validation" in line for line in verdict.lines()) == bool(folds)


@pytest.mark.parametrize(
    ("fine_tune", "limit", "folds"),
    [("none", 10_000, 10), ("none", 60, 0), ("auto", 10_000, 0), ("top", 10_000, 0), ("all", 10_000, 0)],
)
def test_a_frozen_head_is_cross_validated_up_to_a_number_of_images(
    shapes, tmp_path, monkeypatch, fine_tune, limit, folds
):
    for name in CLASSES:
        (tmp_path / "many" / name).mkdir(parents=True)
        for copy in range(2):
            for photo in (shapes / name).iterdir():
                shutil.copy(photo, tmp_path / "many" / name / f"{copy}{photo.name}")
    monkeypatch.setattr("model.dataset.prepare.MAX_CROSS_VALIDATED", limit)
    verdict = prepare_dataset(tmp_path / "many", TrainConfig(fine_tune=fine_tune), tmp_path)
    assert (verdict.folds, bool(verdict.dataset.test)) == (folds, not folds)


def test_a_test_split_of_the_dataset_is_kept(shapes, tmp_path):
    for name in CLASSES:
        for number, photo in enumerate(sorted((shapes / name).iterdir())):
            target = tmp_path / "own" / ("test" if number < 4 else "train") / name / photo.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(photo, target)
    verdict = prepare_dataset(tmp_path / "own", TrainConfig(), tmp_path)
    assert verdict.folds == 8 and len(verdict.dataset.test) == 12
    assert {sample.name.split("/")[0] for sample in verdict.dataset.train + verdict.dataset.val} == {"train"}


def test_a_class_that_cannot_be_cross_validated_is_named(shapes, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(shapes, mine)
    for photo in sorted((mine / "circle").iterdir())[1:]:
        photo.unlink()
    warnings = prepare_dataset(mine, TrainConfig(), tmp_path).warnings
    assert any("circle" in warning and "counts as incorrect" in warning for warning in warnings)


def test_a_time_limit_too_short_for_cross_validation_is_reported(workspace: Workspace, shapes):
    result = train(TrainConfig(dataset=str(shapes), name="m", image_size=64, time_limit_minutes=0.0), workspace)
    assert set(result.metrics) == {"val"}
    assert any("no time for cross-validation" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, set()),
        ({"weights": "none", "l2": 0.1, "refit": False, "fine_tune": "top"}, {"l2", "refit", "fine_tune"}),
        ({"weights": "none", "folds": 5}, {"folds"}),
        ({"weights": "none", "folds": 0}, set()),
        ({"weights": "none", "fine_tune_learning_rate": 0.01, "augmentation": "light"}, set()),
        ({"fine_tune_epochs": 3}, {"fine_tune_epochs"}),
        ({"fine_tune": "top", "fine_tune_epochs": 3}, set()),
        ({"augmented_views": 9}, {"augmented_views"}),
    ],
)
def test_options_without_effect_are_named(changes, named):
    sentences = ignored_options(TrainConfig(**changes), has_splits=False, cross_validated=False)
    assert {name for sentence in sentences for name in sentence.partition(":")[0].split(", ")} == named
