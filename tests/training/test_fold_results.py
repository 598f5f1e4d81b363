"""Candidates of a head in the folds: which are dropped, and that a resumed search ends with the same bits."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from model.dataset.training_data import TrainingData
from model.results import Sample
from model.training import cross_validation
from model.training.checkpoints import Checkpoints
from model.training.cross_validation import CrossValidation, FoldPlan, cross_validate
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.fold_results import FoldResults
from model.training.head_candidates import L2_OF_CONVERGED, HeadOptions, LabelledFeatures

OPTIONS = HeadOptions(epochs=60, patience=10, batch_size=16, learning_rate=1.0, l2=None, seed=0)
CONVERGED = dataclasses.replace(OPTIONS, until_converged=True)
STRENGTHS = len(L2_OF_CONVERGED)
LABELS = np.arange(300) % 3


def _images() -> LabelledFeatures:
    centres = np.random.default_rng(0).normal(0, 1, (3, 20))
    noise = np.random.default_rng(1).normal(0, 1.5, (300, 20))
    return LabelledFeatures((centres[LABELS] + noise).astype(np.float32), LABELS, np.ones(300, np.float32))


def _search(
    checkpoints: Checkpoints | None = None, deadline: Deadline = NO_DEADLINE, options: HeadOptions = OPTIONS
) -> CrossValidation | None:
    samples = tuple(Sample(Path(), f"{number:04}.jpg", int(label)) for number, label in enumerate(LABELS))
    names, rows = tuple(sample.name for sample in samples), np.arange(300)
    data = TrainingData(("a", "b", "c"), names, LABELS, rows, {}, {"train": rows}, samples)
    return cross_validate(data, _images(), FoldPlan(5, 0), options, deadline=deadline, checkpoints=checkpoints)


def _results(losses: list[list[float]], size: int, options: HeadOptions = CONVERGED) -> FoldResults:
    results = FoldResults([size] * 5, 3, 2, options)
    for of_fold in losses:
        results.add([[(loss, 0.5, 0.5)] for loss in of_fold], None)
    return results


def _losses(best: int) -> list[float]:
    return [1.0 + (number != best) * (0.2 + 0.4 * (number % 2)) for number in range(2 * STRENGTHS)]


def test_a_candidate_that_has_lost_clearly_is_not_trained_in_later_folds():
    promising = _results([_losses(12)] * 2, 60).promising()
    assert promising[12] and promising[::2].all()
    # The leader on features as they are is compared with the whitened ones.
    assert not promising[1::2].any()


def test_the_best_on_features_as_they_are_is_always_trained():
    losses = [[5.0] * STRENGTHS + [1.0] * STRENGTHS] * 2
    losses[0][3] = 4.0
    assert np.flatnonzero(_results(losses, 60).promising()[:STRENGTHS]).tolist() == [3]


@pytest.mark.parametrize(
    ("folds", "size", "options"),
    [
        (1, 500, CONVERGED),
        (2, 40, CONVERGED),
        (2, 60, dataclasses.replace(CONVERGED, stop_on="val_accuracy")),
        (2, 60, OPTIONS),
    ],
)
def test_all_are_trained_until_enough_is_known(folds: int, size: int, options: HeadOptions):
    count = len(options.strengths)
    losses = [[1.0] + [9.0] * (2 * count - 1)] * folds
    assert _results(losses, size, options).promising().all()


def test_dropping_candidates_changes_no_choice(monkeypatch):
    dropped = _search()
    monkeypatch.setattr(FoldResults, "promising", lambda results: np.ones(results.candidates, bool))
    complete = _search()
    assert dropped is not None and complete is not None
    assert (dropped.l2, dropped.whitened, dropped.loss) == (complete.l2, complete.whitened, complete.loss)
    assert np.array_equal(dropped.logits, complete.logits)


def test_the_heads_of_the_search_are_those_that_would_be_trained_again(monkeypatch):
    kept = _search()
    monkeypatch.setattr("model.training.fold_results._MAX_LOGITS", 0)
    trained_again = _search()
    assert kept is not None and trained_again is not None and kept.loss == trained_again.loss
    assert np.allclose(kept.logits, trained_again.logits, atol=1e-5)


@pytest.mark.parametrize("folds", [1, 3])
def test_a_resumed_search_ends_with_the_same_bits(tmp_path, monkeypatch, folds: int):
    class AfterFolds(Deadline):
        def is_over(self) -> bool:
            return checks.pop()

    whole = _search()
    checks = [True, *[False] * folds]
    assert _search(Checkpoints(tmp_path), AfterFolds(None)) is None
    trained = []
    fold = cross_validation._fold
    monkeypatch.setattr(cross_validation, "_fold", lambda *given: trained.append(1) or fold(*given))
    resumed = _search(Checkpoints(tmp_path))
    assert whole is not None and resumed is not None and len(trained) == 5 - folds
    assert np.array_equal(whole.logits, resumed.logits) and whole.l2 == resumed.l2 and whole.loss == resumed.loss


def test_folds_of_an_older_version_are_trained_again(tmp_path):
    Checkpoints(tmp_path).save({}, {"measured": [[[[0.1, 1.0, 1.0]]] * (2 * STRENGTHS)]})
    found, whole = _search(Checkpoints(tmp_path)), _search()
    assert found is not None and whole is not None and np.array_equal(found.logits, whole.logits)
