"""Batches: their images, targets and weights."""

import numpy as np
import pytest

from model.config import TrainConfig
from model.training.batches import (
    ArrayInputs,
    MappedInputs,
    TrainBatches,
    balanced_weights,
    epoch_order,
    log_priors,
    mix,
    soft_targets,
)
from model.training.epochs import COLUMNS, Epoch, measure, score

LABELS = np.array([0] * 90 + [1] * 10)


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own():
    first, again, next_one = (epoch_order(LABELS, 1, epoch, balanced=False) for epoch in (1, 1, 2))
    assert np.array_equal(np.sort(first), np.arange(100))
    assert np.array_equal(first, again) and not np.array_equal(first, next_one)


def test_balanced_sampling_shows_classes_as_often_as_each_other():
    drawn = np.concatenate([LABELS[epoch_order(LABELS, 1, epoch, balanced=True)] for epoch in range(50)])
    assert len(drawn) == 5000 and drawn.mean() == pytest.approx(0.5, abs=0.03)


def test_smoothed_targets_add_up_to_one_and_none_is_one_hot():
    labels = np.array([0, 2])
    assert np.array_equal(soft_targets(labels, 3, 0.0), [[1, 0, 0], [0, 0, 1]])
    smoothed = soft_targets(labels, 3, 0.3)
    assert smoothed.dtype == np.float32
    np.testing.assert_allclose(smoothed, [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]], rtol=1e-6)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_mixing_keeps_shapes_and_types_and_weighs_as_both_images_do(kind):
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 256, (8, 4, 4, 3)).astype(kind)
    targets, weights = soft_targets(np.arange(8) % 3, 3, 0.0), rng.uniform(0.5, 2, 8).astype(np.float32)
    mixed, asked, counted = mix(inputs, targets, weights, 1.0, np.random.default_rng(5))
    assert mixed.shape == inputs.shape and mixed.dtype == kind
    assert asked.dtype == counted.dtype == np.float32
    np.testing.assert_allclose(asked.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(
        (asked * counted[:, None]).sum(axis=0), (targets * weights[:, None]).sum(axis=0), rtol=1e-5
    )
    assert not np.array_equal(mixed, inputs)
    again = mix(inputs, targets, weights, 1.0, np.random.default_rng(5))
    assert np.array_equal(mixed, again[0])


def test_balanced_weights_let_each_class_count_the_same():
    weights = balanced_weights(LABELS, 3)
    assert weights[LABELS == 0].sum() == pytest.approx(weights[LABELS == 1].sum())
    assert weights.mean() == pytest.approx(1)


def test_priors_are_class_frequencies_and_finite_for_a_class_without_images():
    np.testing.assert_allclose(np.exp(log_priors(LABELS, 2)), [0.9, 0.1], rtol=1e-6)
    assert np.isfinite(log_priors(LABELS, 3)).all()


def test_validation_metrics_equal_those_of_the_evaluation():
    from model.evaluation.metrics import evaluate_predictions

    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 1, (60, 4)), rng.integers(0, 3, 60)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = evaluate_predictions(probabilities, labels, ("a", "b", "c", "d"))
    measured = measure(logits, labels, np.ones(60))
    assert measured.accuracy == pytest.approx(expected["accuracy"])
    assert measured.macro_f1 == pytest.approx(expected["macro_f1"])
    assert measured.loss == pytest.approx(-np.log(probabilities[np.arange(60), labels]).mean())


def test_epochs_equal_in_the_chosen_metric_differ_in_loss_and_a_diverged_one_is_the_worst():
    def epoch(val_loss: float, val_accuracy: float) -> Epoch:
        return Epoch("head", 1, 1.0, 0.5, val_loss, val_accuracy, 1.0, 0.1, val_accuracy / 2)

    assert score(epoch(0.9, 0.8), "val_accuracy") < score(epoch(0.1, 0.7), "val_accuracy")
    assert score(epoch(0.1, 0.7), "val_loss") < score(epoch(0.9, 0.8), "val_loss")
    assert score(epoch(0.1, 0.8), "val_macro_f1") < score(epoch(0.2, 0.8), "val_macro_f1")
    assert score(epoch(9.0, 0.1), "val_accuracy") < score(epoch(float("nan"), 0.9), "val_accuracy")


def test_the_columns_of_results_csv_are_numbers_of_an_epoch():
    assert set(COLUMNS) < set(vars(Epoch)["__dataclass_fields__"])
    assert {"val_loss", "val_accuracy", "val_macro_f1"} < set(COLUMNS)


def _batches(inputs: ArrayInputs, batch_size: int = 8, **options: float) -> TrainBatches:
    return TrainBatches(inputs, LABELS, np.ones(100, np.float32), 2, TrainConfig(**options), batch_size)


def _numbered_views() -> np.ndarray:
    """Three views of 100 images; a value encodes the view and the image."""
    return np.arange(300, dtype=np.float32).reshape(3, 100, 1)


def test_an_epoch_has_each_image_once_in_the_next_of_its_views():
    batches = _batches(ArrayInputs(_numbered_views()))
    for epoch in (1, 2, 3):
        views, rows = np.divmod(np.concatenate([inputs[:, 0] for inputs, *_ in batches.epoch(epoch)]).astype(int), 100)
        assert np.array_equal(np.sort(rows), np.arange(100)) and np.array_equal(views, (rows + epoch) % 3)


def test_a_mapped_file_gives_the_same_images_in_each_batch_and_is_read_in_its_order(tmp_path):
    np.save(tmp_path / "inputs.npy", _numbered_views())
    mapped = MappedInputs(np.load(tmp_path / "inputs.npy", mmap_mode="r"))
    in_memory, on_disk = _batches(ArrayInputs(_numbered_views())), _batches(mapped)
    for (inputs, *_), (stored, *_) in zip(in_memory.epoch(1), on_disk.epoch(1), strict=True):
        assert np.array_equal(np.sort(inputs, axis=0), np.sort(stored, axis=0))
        assert (np.diff(stored[:, 0] % 100) > 0).all()


@pytest.mark.parametrize("options", [{}, {"mixup": 0.3}, {"imbalance": "sampling", "label_smoothing": 0.1}])
def test_an_epoch_resumed_in_its_middle_has_the_same_batches(options):
    batches = _batches(ArrayInputs(_numbered_views()), **options)
    whole, rest = list(batches.epoch(2)), list(batches.epoch(2, start=5))
    assert len(whole) == len(batches) == 13 and len(rest) == 8
    assert all(
        np.array_equal(one, other)
        for batch, resumed in zip(whole[5:], rest, strict=True)
        for one, other in zip(batch, resumed, strict=True)
    )
