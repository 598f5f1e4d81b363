"""The head on features whose classes are known."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from model.errors import TrainingError
from model.training.batches import balanced_weights
from model.training.checkpoints import TimedCheckpoints
from model.training.deadline import Deadline
from model.training.epochs import Epoch, cross_entropy
from model.training.head import refit_head, train_head
from model.training.head_candidates import HeadOptions, LabelledFeatures

OPTIONS = HeadOptions(epochs=60, patience=15, batch_size=16, learning_rate=1.0, l2=None, seed=0)


@pytest.fixture(params=["full batch", "minibatches"], autouse=True)
def method(request, monkeypatch) -> str:
    """Both methods; the size of the head decides."""
    if request.param == "minibatches":
        monkeypatch.setattr("model.training.head._MAX_WEIGHTS", 0)
    return request.param


def _blobs(count: int, seed: int, classes: int = 3, features: int = 20, spread: float = 1.0) -> LabelledFeatures:
    centres = np.random.default_rng(99).normal(0, 1, (classes, features))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    values = (centres[labels] + rng.normal(0, spread, (count, features)) + 5).astype(np.float32)
    return LabelledFeatures(values, labels, np.ones(count, np.float32))


def test_the_head_separates_linearly_separable_classes():
    head = train_head(_blobs(200, 1, spread=0.3), _blobs(60, 2, spread=0.3), 3, OPTIONS)
    test = _blobs(300, 3, spread=0.3)
    assert (head.logits(test.features).argmax(axis=1) == test.labels).mean() > 0.98


def test_the_head_is_as_accurate_as_logistic_regression_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    train, val, test = _blobs(300, 1), _blobs(100, 2), _blobs(2000, 3)
    head = train_head(train, val, 3, OPTIONS)
    reference = linear_model.LogisticRegression(max_iter=1000).fit(train.features, train.labels)
    ours = (head.logits(test.features).argmax(axis=1) == test.labels).mean()
    assert ours >= reference.score(test.features, test.labels) - 0.01


def test_the_same_seed_gives_the_same_head_to_the_bit():
    first, second = (train_head(_blobs(100, 1), _blobs(40, 2), 3, OPTIONS) for _ in range(2))
    assert np.array_equal(first.kernel, second.kernel) and np.array_equal(first.bias, second.bias)


def test_early_stopping_keeps_the_best_epoch():
    head = train_head(_blobs(40, 1, spread=3.0), _blobs(40, 2, spread=3.0), 3, OPTIONS)
    assert len(head.history) < OPTIONS.epochs
    assert head.best.val_loss == min(row.val_loss for row in head.history)
    val = _blobs(40, 2, spread=3.0)
    assert cross_entropy(head.logits(val.features), val.labels, val.weights) == pytest.approx(
        head.best.val_loss, rel=1e-4
    )


def test_validation_chooses_a_stronger_penalty_for_noisier_data():
    def chosen(spread: float) -> float:
        train, val = (_blobs(count, count, features=100, spread=spread) for count in (60, 400))
        return train_head(train, val, 3, OPTIONS).l2

    assert chosen(8.0) > chosen(0.3)


@pytest.mark.parametrize("method", ["full batch"], indirect=True)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_full_batches_reach_the_minimum_that_scikit_learn_finds(smoothing):
    linear_model = pytest.importorskip("sklearn.linear_model")
    train, l2 = _blobs(300, 1, spread=3.0), 1e-2
    head = train_head(train, train, 3, HeadOptions(200, 200, 16, 1.0, l2, 0, label_smoothing=smoothing))
    centred = train.features - train.features.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=1).mean())
    # Images of all classes with the weights of their smoothed targets, and ten times the penalty beside momentum.
    weights = np.repeat(np.full(3, smoothing / 3)[None], 300, axis=0)
    weights[np.arange(300), train.labels] += 1 - smoothing
    reference = linear_model.LogisticRegression(C=1 / (300 * l2 * 0.1), max_iter=1000, tol=1e-8).fit(
        np.repeat(centred / scale, 3, axis=0), np.tile(np.arange(3), 300), weights.ravel()
    )

    def objective(logits: np.ndarray, kernel: np.ndarray) -> float:
        losses = -(weights * log_softmax(logits, axis=-1)).sum(axis=1)
        return losses.mean() + 0.5 * 0.1 * l2 * (kernel**2).sum()

    found = objective(head.logits(train.features), head.kernel * scale)
    least = objective(reference.decision_function(centred / scale), reference.coef_)
    assert found == pytest.approx(least, rel=0.005)


@pytest.mark.parametrize("l2", [0.0, 1.0, 10.0])
def test_any_penalty_is_stable(l2):
    head = train_head(_blobs(60, 1), _blobs(30, 2), 3, HeadOptions(100, 100, 16, 1.0, l2, 0))
    assert np.isfinite(head.kernel).all() and head.l2 == pytest.approx(l2)


def test_the_error_of_a_diverging_learning_rate_states_the_remedy():
    wild = LabelledFeatures(np.full((4, 2), np.nan, np.float32), np.array([0, 1, 0, 1]), np.ones(4, np.float32))
    with pytest.raises(TrainingError, match="Lower learning_rate"):
        train_head(wild, wild, 2, OPTIONS)


def test_each_epoch_is_reported_with_its_metrics():
    reported: list[Epoch] = []
    val = _blobs(30, 2)

    def on_epoch(row: Epoch, val_logits: np.ndarray) -> None:
        assert (val_logits.argmax(axis=-1) == val.labels).mean() == row.val_accuracy
        reported.append(row)

    train_head(_blobs(60, 1), val, 3, OPTIONS, on_epoch)
    assert [row.epoch for row in reported] == list(range(1, len(reported) + 1))
    assert all(0 <= row.val_accuracy <= 1 and row.phase == "head" for row in reported)


def test_refitting_uses_all_the_data_with_the_chosen_penalty_and_epochs():
    train, val = _blobs(30, 1), _blobs(30, 2)
    names = ("features", "labels", "weights")
    both = LabelledFeatures(*(np.concatenate([getattr(train, name), getattr(val, name)]) for name in names))
    chosen = train_head(train, val, 3, OPTIONS)
    refitted = refit_head(both, 3, chosen, OPTIONS)
    test = _blobs(2000, 3)
    assert refitted.l2 == chosen.l2 and not np.array_equal(refitted.kernel, chosen.kernel)
    losses = [cross_entropy(head.logits(test.features), test.labels, test.weights) for head in (refitted, chosen)]
    assert losses[0] < losses[1]


def test_constant_features_do_not_divide_by_zero():
    same = LabelledFeatures(np.ones((8, 4), np.float32), np.array([0, 1] * 4), np.ones(8, np.float32))
    assert np.isfinite(train_head(same, same, 2, OPTIONS).kernel).all()


@pytest.mark.parametrize("imbalance", ["class_weights", "sampling", "logit_adjustment"])
def test_imbalance_options_raise_the_recall_of_a_rare_class(imbalance):
    rng = np.random.default_rng(0)
    labels = np.array([0] * 190 + [1] * 10)
    features = rng.normal(labels[:, None] * 1.0, 1, (200, 3)).astype(np.float32)
    equal, balanced = np.ones(200, np.float32), balanced_weights(labels, 2)

    def recalls(imbalance: str, weights: np.ndarray, val_weights: np.ndarray) -> np.ndarray:
        train, val = (LabelledFeatures(features, labels, values) for values in (weights, val_weights))
        options = dataclasses.replace(OPTIONS, imbalance=imbalance)
        answers = train_head(train, val, 2, options).logits(features).argmax(axis=1)
        return np.array([(answers[labels == label] == label).mean() for label in (0, 1)])

    plain = recalls("none", equal, equal)
    helped = recalls(imbalance, balanced if imbalance == "class_weights" else equal, balanced)
    assert helped[1] > plain[1] + 0.2 and helped.mean() > plain.mean()


def test_logit_adjustment_removes_the_prior_of_the_large_class():
    labels = np.array([0] * 90 + [1] * 10)
    same = LabelledFeatures(np.ones((100, 4), np.float32), labels, np.ones(100, np.float32))
    val = dataclasses.replace(same, weights=balanced_weights(labels, 2))
    options = dataclasses.replace(OPTIONS, imbalance="logit_adjustment")
    logits = train_head(same, val, 2, options).logits(same.features[:1])
    assert logits[0, 0] == pytest.approx(logits[0, 1], abs=0.05)


def test_the_head_trains_on_views():
    train, val, test = _blobs(30, 1), _blobs(100, 2), _blobs(2000, 3)
    truth = _blobs(30, 1, spread=0.0).features
    with_views = dataclasses.replace(train, views=(truth, truth, truth))
    plain, better = (train_head(data, val, 3, OPTIONS).logits(test.features) for data in (train, with_views))
    losses = [cross_entropy(logits, test.labels, test.weights) for logits in (plain, better)]
    assert losses[1] < losses[0]


def test_label_smoothing_and_mixup_lower_confidence_but_not_accuracy():
    train, val, test = _blobs(200, 1, spread=0.5), _blobs(60, 2, spread=0.5), _blobs(500, 3, spread=0.5)

    def logits(**options: float) -> np.ndarray:
        return train_head(train, val, 3, dataclasses.replace(OPTIONS, l2=0.0, **options)).logits(test.features)

    plain = logits()
    for softened in (logits(label_smoothing=0.2), logits(mixup=1.0)):
        assert softmax(softened, axis=-1).max(axis=1).mean() < softmax(plain, axis=-1).max(axis=1).mean()
        accuracies = [(values.argmax(axis=1) == test.labels).mean() for values in (softened, plain)]
        assert accuracies[0] > accuracies[1] - 0.02


@pytest.mark.parametrize("stop_on", ["val_loss", "val_accuracy", "val_macro_f1"])
def test_the_best_epoch_is_that_of_the_chosen_metric(stop_on):
    options = dataclasses.replace(OPTIONS, stop_on=stop_on, l2=1e-3)
    head = train_head(_blobs(40, 1, spread=3.0), _blobs(40, 2, spread=3.0), 3, options)
    values = [getattr(row, stop_on) for row in head.history]
    assert getattr(head.best, stop_on) == (min(values) if stop_on == "val_loss" else max(values))


class _OverAt(Deadline):
    """A deadline that passes after a number of epochs."""

    def __init__(self, epochs: int) -> None:
        super().__init__(math.inf)
        object.__setattr__(self, "_left", iter(range(epochs - 1)))

    def is_over(self) -> bool:
        return next(vars(self)["_left"], None) is None


def test_a_head_stopped_by_the_time_limit_is_marked():
    train, val = _blobs(60, 1), _blobs(30, 2)
    cut = train_head(train, val, 3, OPTIONS, deadline=_OverAt(2))
    assert cut.cut_short and len(cut.history) == 2
    assert not train_head(train, val, 3, OPTIONS).cut_short


@pytest.mark.parametrize("last", [5, 17])
def test_a_head_is_resumed_from_its_last_checkpoint_to_the_same_result(tmp_path, last):
    train, val = _blobs(60, 1, spread=2.0), _blobs(30, 2, spread=2.0)
    expected = train_head(train, val, 3, OPTIONS)
    assert len(expected.history) > last

    def stop(row: Epoch, val_logits: np.ndarray | None) -> None:
        if row.epoch == last:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_head(train, val, 3, OPTIONS, stop, checkpoints=TimedCheckpoints(tmp_path, 0.0))
    reported: list[tuple[int, bool]] = []

    def on_epoch(row: Epoch, val_logits: np.ndarray | None) -> None:
        reported.append((row.epoch, val_logits is None))

    resumed = train_head(train, val, 3, OPTIONS, on_epoch, checkpoints=TimedCheckpoints(tmp_path, 0.0))
    assert reported == [(epoch, epoch < last) for epoch in range(1, len(expected.history) + 1)]
    assert np.array_equal(resumed.kernel, expected.kernel) and np.array_equal(resumed.bias, expected.bias)
    assert (resumed.l2, resumed.best_epoch) == (expected.l2, expected.best_epoch)
    files = sorted(path.name for path in tmp_path.iterdir())
    again = train_head(train, val, 3, OPTIONS, deadline=_OverAt(1), checkpoints=TimedCheckpoints(tmp_path, 0.0))
    assert np.array_equal(again.kernel, expected.kernel) and not again.cut_short
    assert sorted(path.name for path in tmp_path.iterdir()) == files


def test_a_checkpoint_of_the_other_method_is_not_used(tmp_path, method, monkeypatch):
    train, val = _blobs(60, 1), _blobs(30, 2)
    expected = train_head(train, val, 3, OPTIONS)
    monkeypatch.setattr("model.training.head._MAX_WEIGHTS", 0 if method == "full batch" else 1_000_000)
    train_head(train, val, 3, OPTIONS, checkpoints=TimedCheckpoints(tmp_path, 0.0))
    monkeypatch.setattr("model.training.head._MAX_WEIGHTS", 1_000_000 if method == "full batch" else 0)
    again = train_head(train, val, 3, OPTIONS, checkpoints=TimedCheckpoints(tmp_path, 0.0))
    assert np.array_equal(again.kernel, expected.kernel)


@pytest.mark.parametrize("options", [{"imbalance": "sampling"}, {"label_smoothing": 0.1}, {"l2": 0.0}])
def test_views_count_as_images_that_are_not_measured(options):
    train, val = _blobs(60, 1), _blobs(30, 2)
    with_views = dataclasses.replace(train, views=(train.features, train.features))
    plain, viewed = (train_head(data, val, 3, dataclasses.replace(OPTIONS, **options)) for data in (train, with_views))
    assert viewed.best.loss == pytest.approx(plain.best.loss, rel=0.05, abs=1e-3)
