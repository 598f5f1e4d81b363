"""The head of features in parts: as accurate as in memory, resumable, and within the memory of its windows."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from model.training.checkpoints import TimedCheckpoints
from model.training.epochs import Epoch
from model.training.head import train_head
from model.training.head_candidates import HeadOptions
from model.training.row_windows import open_windows, spread_order
from model.training.streamed_head import train_streamed_head
from tests.support.feature_parts import SyntheticParts

OPTIONS = HeadOptions(epochs=6, patience=6, batch_size=4, learning_rate=1.0, l2=None, seed=0)
TRAIN = SyntheticParts(100, 20)
VAL = SyntheticParts(400, 2, sorted_by_class=False, seed=2)
WINDOW = 500


@pytest.fixture
def full_disk(monkeypatch):
    """A disk without space for the rows."""
    monkeypatch.setattr("model.training.row_windows._FREE_BYTES_AFTER", 2**62)


@pytest.fixture(params=["file", "parts"])
def both_ways(request):
    """The rows are read from the file, or from the parts."""
    if request.param == "parts":
        request.getfixturevalue("full_disk")


def _train(directory, options=OPTIONS, parts=TRAIN, **more):
    return train_streamed_head(parts, VAL.in_memory(), 4, options, directory, window=WINDOW, **more)


@pytest.mark.usefixtures("both_ways")
def test_the_head_is_as_accurate_as_one_of_features_in_memory(tmp_path):
    test = SyntheticParts(2000, 2, sorted_by_class=False, seed=3).in_memory()
    heads = (_train(tmp_path), train_head(TRAIN.in_memory(), VAL.in_memory(), 4, OPTIONS))
    streamed, in_memory = ((head.logits(test.features).argmax(axis=1) == test.labels).mean() for head in heads)
    assert streamed >= in_memory - 0.005 and 0.88 < streamed < 0.92


@pytest.mark.usefixtures("both_ways")
def test_an_epoch_has_each_row_once_in_mixed_windows(tmp_path):
    windows, measures = open_windows(TRAIN, 4, tmp_path, 0, window=WINDOW)
    everything = TRAIN.in_memory()
    epochs = [list(windows.windows(epoch)) for epoch in (1, 2, 1)]
    for found in epochs:
        rows = np.concatenate([features for features, _ in found])
        labels = np.concatenate([labels for _, labels in found])
        order, expected = np.lexsort(rows.T), np.lexsort(everything.features.astype(np.float16).T)
        assert np.array_equal(rows[order], everything.features[expected].astype(np.float16))
        assert np.array_equal(labels[order], everything.labels[expected])
        assert len(found) == 4 and all(np.bincount(labels).max() < 350 for _, labels in found)
    assert np.array_equal(epochs[0][0][0], epochs[2][0][0]) and not np.array_equal(epochs[0][0][1], epochs[1][0][1])
    assert measures.scaling.mean == pytest.approx(everything.features.mean(axis=0), rel=1e-5)
    centred = everything.features - everything.features.mean(axis=0)
    assert measures.scaling.scale == pytest.approx(np.sqrt((centred**2).sum(axis=1).mean()), rel=1e-5)
    assert np.array_equal(measures.class_counts, np.bincount(everything.labels))


def test_an_interrupted_training_is_resumed_to_the_same_head(tmp_path):
    whole = _train(tmp_path / "whole")

    class Interruption(Exception):
        pass

    def interrupt(row: Epoch, val_logits: np.ndarray | None) -> None:
        if row.epoch == 3:
            raise Interruption

    checkpoints = TimedCheckpoints(tmp_path / "checkpoints", 0.0)
    with pytest.raises(Interruption):
        _train(tmp_path / "rows", checkpoints=checkpoints, on_epoch=interrupt)
    resumed = _train(tmp_path / "rows", checkpoints=checkpoints)
    assert np.array_equal(resumed.kernel, whole.kernel) and np.array_equal(resumed.bias, whole.bias)
    assert [dataclasses.replace(row, seconds=0) for row in resumed.history] == [
        dataclasses.replace(row, seconds=0) for row in whole.history
    ]
    assert not list((tmp_path / "rows").iterdir())


def test_each_epoch_reports_the_running_loss_and_the_validation_logits(tmp_path):
    reported = []
    val = VAL.in_memory()

    def on_epoch(row: Epoch, val_logits: np.ndarray) -> None:
        assert (val_logits.argmax(axis=1) == val.labels).mean() == row.val_accuracy
        reported.append(row)

    head = _train(tmp_path, on_epoch=on_epoch)
    assert head.best == reported[head.best_epoch - 1] and len(reported) == 6
    # The first epoch begins with weights of zero.
    assert reported[0].loss > reported[-1].loss and reported[0].accuracy < reported[-1].accuracy
    assert reported[-1].loss == pytest.approx(reported[-1].val_loss, rel=0.15)


@pytest.mark.parametrize("imbalance", ["class_weights", "sampling", "logit_adjustment"])
def test_imbalance_options_raise_the_recall_of_a_rare_class(tmp_path, imbalance):
    @dataclasses.dataclass(frozen=True)
    class Imbalanced(SyntheticParts):
        def read(self, part):
            rng = np.random.default_rng((1, part))
            labels = (rng.random(self.rows) < 0.05).astype(int)
            return rng.normal(labels[:, None], 1, (self.rows, 3)).astype(np.float32), labels

    parts = Imbalanced(100, 20, features=3, classes=2)
    test = parts.in_memory()

    def recall(imbalance: str) -> float:
        options = dataclasses.replace(OPTIONS, imbalance=imbalance)
        head = train_streamed_head(parts, test, 2, options, tmp_path, window=WINDOW)
        return (head.logits(test.features).argmax(axis=1) == 1)[test.labels == 1].mean()

    assert recall(imbalance) > recall("none") + 0.2


@pytest.mark.parametrize("factor", [1e5, 1e-7])
def test_features_that_half_precision_would_change_are_stored_in_single_precision(tmp_path, factor):
    @dataclasses.dataclass(frozen=True)
    class Scaled(SyntheticParts):
        def read(self, part):
            features, labels = super().read(part)
            return features * np.float32(factor), labels

    windows, _ = open_windows(Scaled(100, 20), 4, tmp_path, 0, window=WINDOW)
    assert next(windows.windows(1))[0].dtype == np.float32


def test_parts_of_a_class_are_spread_evenly():
    classes = np.repeat([0, 1, 2], [40, 20, 4])
    order = spread_order(classes, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(64))
    for part in np.array_split(classes[order], 4):
        assert np.abs(np.bincount(part, minlength=3) - [10, 5, 1]).max() <= 2


_IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from model.training.head_candidates import HeadOptions
from model.training.streamed_head import train_streamed_head
from tests.support.feature_parts import SyntheticParts
parts = SyntheticParts(1000, 40, features=1280)
val = SyntheticParts(500, 2, features=1280, sorted_by_class=False, seed=2)
used = int(Path("/proc/self/status").read_text().split("VmData:")[1].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 150_000_000, used + 150_000_000))
options = HeadOptions(1, 1, 32, 1.0, None, 0)
head = train_streamed_head(parts, val.in_memory(), 4, options, Path(sys.argv[1]), window=8192)
print(head.best.val_accuracy)
"""


@pytest.mark.slow
def test_features_larger_than_the_memory_are_learned_from(tmp_path):
    # 40,000 rows of 1,280 features take 205 MB, and as much again where they are scaled.
    child = subprocess.run([sys.executable, "-c", _IN_LITTLE_MEMORY, tmp_path], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    assert float(child.stdout) > 0.88
