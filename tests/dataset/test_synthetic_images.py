"""Synthetic images in a dataset: learned from, and never measured on."""

from pathlib import Path

import numpy as np
import pytest

from model import durable
from model.config import TrainConfig
from model.dataset.lists import write_lists
from model.dataset.prepare import prepare_dataset
from model.dataset.splits import IN_NO_FOLD, split_rows, stratified_folds
from model.dataset.verdict import Verdict
from model.errors import DatasetError
from model.evaluation.learning_curve import FRACTIONS
from model.evaluation.unknown import out_of_fold_distances
from model.training.cross_validation import FoldPlan, cross_validate, settled_out_of_fold
from model.training.head_candidates import HeadOptions, LabelledFeatures
from model.training.learning_sizes import measure_learning_curve
from model.tuning.out_of_fold import predict_out_of_fold
from model.tuning.pool import Pool
from tests.synthesis.cutout_files import COLOURS, photo_bytes

SYNTHETIC = ("s0", "s1", "s2")


def write_origins(folder: Path, rows: list[tuple[str, str, str]]) -> None:
    durable.write_csv(folder / "origin.csv", ("image", "synthetic", "group"), rows)


def write_images(folder: Path, names: list[str]) -> None:
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(photo_bytes(COLOURS["red" if "red" in name else "blue"], seed))


def prepare(folder: Path, **options) -> Verdict:
    return prepare_dataset(folder, TrainConfig(**options), folder)


@pytest.mark.parametrize("split", ["val", "test"])
def test_synthetic_images_in_lists_of_val_or_test_are_refused(tmp_path: Path, split: str) -> None:
    names = [f"{label}/{number}.png" for label in ("blue", "red") for number in range(6)]
    write_images(tmp_path / "images", names)
    rows = [(name, int("red" in name)) for name in names]
    lists = {"train": rows[1:-1], split: [rows[0], rows[-1]]}
    write_lists(tmp_path / "dataset_files", ("blue", "red"), lists)
    write_origins(tmp_path, [("red/5.png", "true", ""), ("blue/1.png", "true", ""), ("blue/0.png", "false", "")])
    with pytest.raises(DatasetError) as raised:
        prepare(tmp_path)
    assert (
        f"{split}: expected real photos only, found 1 that origin.csv states as synthetic: red/5.png. Move them to "
        "train, or remove them"
    ) in raised.value.message


@pytest.mark.parametrize("place", ["", "val", "val/red"])
def test_synthetic_images_in_split_folders_are_refused_wherever_their_table_is(tmp_path: Path, place: str) -> None:
    names = [f"{split}/{label}/{n}.png" for split in ("train", "val") for label in ("blue", "red") for n in range(3)]
    write_images(tmp_path, names)
    write_origins(tmp_path / place, [("synthetic/1.png" if place else "val/red/1.png", "true", "")])
    if place:
        (tmp_path / "val" / "red" / "synthetic").mkdir()
        (tmp_path / "val" / "red" / "1.png").rename(tmp_path / "val" / "red" / "synthetic" / "1.png")
    with pytest.raises(DatasetError, match=r"val: expected real photos only, found 1 .*1\.png"):
        prepare(tmp_path)


def test_synthetic_images_in_the_val_rows_of_a_table_are_refused(tmp_path: Path) -> None:
    names = [f"{label}{number}.png" for label in ("blue", "red") for number in range(6)]
    write_images(tmp_path / "photos", names)
    rows = [(name, name[:-5], "val" if "5" in name else "train") for name in names]
    durable.write_csv(tmp_path / "labels.csv", ("file", "label", "split"), rows)
    write_origins(tmp_path, [("photos/red5.png", "true", "")])
    with pytest.raises(DatasetError, match=r"val: expected real photos only, found 1 .*red5\.png"):
        prepare(tmp_path, table="labels.csv")


def test_splits_made_here_keep_synthetic_images_in_train(tmp_path: Path) -> None:
    names = [f"{label}/{number:02d}.png" for label in ("blue", "red") for number in range(30)]
    write_images(tmp_path, names)
    synthetic = [name for name in names if int(name[-6:-4]) >= 22]
    write_origins(tmp_path, [(name, "true", "") for name in synthetic])
    verdict = prepare(tmp_path, folds=0)
    assert {sample.name for sample in verdict.dataset.train} >= set(synthetic)
    # Fractions of the 22 real images of a class.
    assert verdict.counts["val"] == verdict.counts["test"] == {"blue": 3, "red": 3}
    assert verdict.synthetic == tuple(sorted(synthetic))
    assert f"Synthetic {len(synthetic)} of the images" in "\n".join(verdict.lines())


def test_validation_drawn_from_train_has_real_images_only(tmp_path: Path) -> None:
    names = [f"{label}/{number}.png" for label in ("blue", "red") for number in range(8)]
    write_images(tmp_path / "images", names)
    write_lists(tmp_path / "dataset_files", ("blue", "red"), {"train": [(name, int("red" in name)) for name in names]})
    synthetic = [name for name in names if name[-5] in "34567"]
    write_origins(tmp_path, [(name, "true", "") for name in synthetic])
    verdict = prepare(tmp_path)
    assert {sample.name for sample in verdict.dataset.val}.isdisjoint(synthetic)
    assert verdict.counts["val"] == {"blue": 1, "red": 1}


def test_a_dataset_of_synthetic_images_only_is_refused(tmp_path: Path) -> None:
    names = [f"{label}/{number}.png" for label in ("blue", "red") for number in range(8)]
    write_images(tmp_path, names)
    write_origins(tmp_path, [(name, "true", "") for name in names])
    with pytest.raises(DatasetError, match=r"expected real photos for training and validation, found 16 synthetic"):
        prepare(tmp_path)


def test_synthetic_images_of_a_photo_in_val_are_left_out(tmp_path: Path) -> None:
    names = [f"{label}/{number}.png" for label in ("blue", "red") for number in range(8)]
    write_images(tmp_path, names)
    rows = [(name, "false", name) for name in names if name[-5] < "4"]
    rows += [(f"{name[:-5]}{int(name[-5]) + 4}.png", "true", name) for name, *_ in rows]
    write_origins(tmp_path, rows)
    verdict = prepare(tmp_path, folds=0, test_fraction=0)
    used = {sample.name for sample in verdict.dataset.samples}
    measured = {sample.name for sample in verdict.dataset.val}
    assert {name for name in names if name not in used} == {f"{name[:-5]}{int(name[-5]) + 4}.png" for name in measured}
    assert any("2 synthetic images were left out" in warning for warning in verdict.warnings)
    assert not verdict.leakage


def test_a_damaged_table_of_origins_is_an_error(tmp_path: Path) -> None:
    write_images(tmp_path, [f"{label}/{number}.png" for label in ("blue", "red") for number in range(3)])
    (tmp_path / "origin.csv").write_bytes(b"image,synthetic\nred/1.png\xff,true\n")
    with pytest.raises(DatasetError, match=r"origin\.csv: expected a table of the origin of images"):
        prepare(tmp_path)


def test_folds_and_splits_of_real_images_do_not_depend_on_synthetic_ones() -> None:
    real, labels = [f"r{number}" for number in range(20)], [number % 2 for number in range(20)]
    names, all_labels = [*SYNTHETIC, *real], [0, 1, 0, *labels]
    groups = ["r0", "own", "own", *real]
    plain = stratified_folds(real, labels, real, 4, 7)
    mixed = stratified_folds(names, all_labels, groups, 4, 7, frozenset(SYNTHETIC))
    assert mixed[3:] == plain
    assert mixed[:3] == [plain[0], IN_NO_FOLD, IN_NO_FOLD]
    rows = split_rows(real, labels, real, {"val": 0.3, "test": 0.2}, 7)
    found = split_rows(names, all_labels, groups, {"val": 0.3, "test": 0.2}, 7, frozenset(SYNTHETIC))
    assert [[row - 3 for row in found[split]] for split in ("val", "test")] == [rows["val"], rows["test"]]
    in_train = {names[row] for row in found["train"]}
    assert in_train >= {"s1", "s2"}
    assert ("s0" in in_train) == ("r0" in in_train)


@pytest.fixture
def measured(tmp_path: Path) -> tuple:
    """Training data of 40 real and 12 synthetic images, and their features: the synthetic ones contradict the rest."""
    names = [f"{label}/{number:02d}.png" for label in ("blue", "red") for number in range(26)]
    write_images(tmp_path, names)
    write_origins(tmp_path, [(name, "true", "") for name in names if int(name[-6:-4]) >= 20])
    data = prepare(tmp_path, folds=4).training_data
    rng = np.random.default_rng(0)
    signs = np.where(data.is_real, data.labels * 2 - 1, 1 - data.labels * 2)
    features = (rng.normal(0, 0.3, (len(data), 8)) + signs[:, None]).astype(np.float32)
    return data, features


def test_cross_validation_measures_real_images_only(measured: tuple) -> None:
    data, features = measured
    rows = data.rows("train", "val")
    chosen, images = data.select(rows), LabelledFeatures(features[rows], data.labels[rows], np.ones(len(rows)))
    options = HeadOptions.from_config(TrainConfig(epochs=5))
    plan = FoldPlan(4, 0)
    found = cross_validate(chosen, images, plan, options)
    assert found is not None
    assert np.isfinite(found.logits).all(axis=1).tolist() == chosen.is_real.tolist()
    predictions = predict_out_of_fold(chosen, images, [plan], options)
    assert predictions.predicted.shape == (1, chosen.is_real.sum())
    assert np.isfinite(predictions.losses).all()


def test_the_search_measures_real_images_only(measured: tuple) -> None:
    data, _ = measured
    pool = Pool(data, 0, lambda: None)
    assert pool.data.is_real.sum() == 40
    assert len(pool.data) == 52


def test_calibration_distances_and_the_learning_curve_measure_real_images_only(measured: tuple) -> None:
    from model.training.head import train_head

    data, features = measured
    rows = data.rows("train")
    train = LabelledFeatures(features[rows], data.labels[rows], np.ones(len(rows)))
    options = HeadOptions.from_config(TrainConfig(epochs=5))
    head = train_head(train, train, 2, options)
    real = data.is_real[rows]
    logits = settled_out_of_fold(data.select(rows), train, head, options, 0)
    assert np.isfinite(logits).all(axis=1).tolist() == real.tolist()
    distances = out_of_fold_distances(features[rows], data.labels[rows], data.groups[rows], 0, real)
    assert np.isfinite(distances).tolist() == real.tolist()
    curve = measure_learning_curve(data, features, head, options, logits)
    assert curve is not None
    assert curve.correct.shape == (len(FRACTIONS) + 1, real.sum())
    assert curve.photos[-1] < len(rows)
