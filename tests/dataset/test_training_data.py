"""Training data: one row per image, in splits and selections."""

from pathlib import Path

import numpy as np
import pytest

from model.config import TrainConfig
from model.dataset.prepare import prepare_dataset
from model.dataset.training_data import TrainingData
from model.dataset.verdict import Verdict
from model.results import SPLITS


@pytest.fixture
def verdict(shapes: Path, tmp_path: Path) -> Verdict:
    return prepare_dataset(shapes, TrainConfig(folds=0), tmp_path)


@pytest.fixture
def data(verdict: Verdict) -> TrainingData:
    return verdict.training_data


def test_training_data_has_the_rows_of_the_dataset(verdict: Verdict, data: TrainingData) -> None:
    assert data.classes == verdict.dataset.classes and data.source == verdict.dataset.samples
    assert data.names == tuple(sample.name for sample in data.source)
    assert data.labels.tolist() == [sample.label for sample in data.source]
    assert data.groups.tolist() == [verdict.groups[name] for name in data.names]
    assert set(data.names) <= set(data.content_hashes)
    for split in SPLITS:
        assert data.samples(split) == verdict.dataset.split(split)
    assert data.samples("train", "val") == verdict.dataset.train + verdict.dataset.val


def test_a_selection_keeps_the_columns_of_each_row(data: TrainingData) -> None:
    rows = data.rows("val", "train")[::2]
    part = data.select(rows)
    assert len(part) == len(rows)
    for new, old in enumerate(rows.tolist()):
        assert (part.names[new], part.source[new]) == (data.names[old], data.source[old])
        assert (part.labels[new], part.groups[new]) == (data.labels[old], data.groups[old])
    assert {part.names[row] for row in part.rows("val")} == {part.names[row] for row in range(len(part))} & {
        sample.name for sample in data.samples("val")
    }
    assert not len(part.rows("test"))
    assert np.array_equal(np.sort(part.rows(*SPLITS)), np.arange(len(part)))
