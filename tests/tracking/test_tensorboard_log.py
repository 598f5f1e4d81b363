"""A training in TensorBoard, read back with TensorBoard's own reader during and after the training."""

import dataclasses
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.results import Dataset, InputSpec, Sample
from model.tracking.epoch_figures import Thumbnails, draw_confident_errors, draw_confusion_matrix
from model.tracking.projector import principal_components, write_projector
from model.tracking.tensorboard_log import TensorBoardLog
from model.training.epochs import Epoch
from tests.support.event_files import curve, logged_images
from tests.support.shapes import CLASSES

SPEC = InputSpec.square(32)


@pytest.fixture(autouse=True)
def _without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard's reader then does without, and loads in no time."""
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", types.ModuleType("notf"))


@pytest.fixture
def dataset(shapes: Path) -> Dataset:
    """Nine images to train on, nine to validate on."""
    samples = [
        Sample(shapes / name / f"{number:03}.jpg", f"{name}/{number:03}.jpg", label)
        for number in range(6)
        for label, name in enumerate(CLASSES)
    ]
    return Dataset(shapes, CLASSES, tuple(samples[:9]), tuple(samples[9:]), ())


def row(epoch: int, phase: str = "head", loss: float | None = None) -> Epoch:
    return Epoch(phase, epoch, loss or 1 / epoch, 0.5, 2 / epoch, 0.4, 0.001 * epoch, 0.5, 0.3)


def logits_of(answers: list[int]) -> np.ndarray:
    return 4 * np.eye(3, dtype=np.float32)[answers]


def test_each_epoch_is_visible_immediately(tmp_path, dataset):
    log = TensorBoardLog(tmp_path, dataset, SPEC)
    for epoch in (1, 2):
        log.epoch(row(epoch), logits_of([0, 1, 2] * 3))
        assert curve(tmp_path / "head", "val_loss")[-1] == (epoch, 2 / epoch)
    assert curve(tmp_path / "head", "learning_rate") == [(1, 0.001), (2, 0.002)]
    assert curve(tmp_path / "head", "images_per_second") == [(1, 18.0), (2, 18.0)]
    log.finish([row(1), row(2)])


def test_each_phase_has_curves_and_ends_with_images(tmp_path, dataset):
    log = TensorBoardLog(tmp_path, dataset, SPEC)
    rows = [row(1), row(2), row(1, "fine_tune")]
    for one in rows:
        log.epoch(one, logits_of([0, 1, 1] * 3))
    log.finish(rows)
    assert curve(tmp_path / "head", "loss") == [(1, 1.0), (2, 0.5)]
    assert curve(tmp_path / "fine_tune", "loss") == [(1, 1.0)]
    for phase, step in (("head", 2), ("fine_tune", 1)):
        for kind in ("confusion_matrix", "most_confident_errors"):
            [(drawn_at, drawn)] = logged_images(tmp_path, f"{kind}/{phase}")
            assert drawn_at == step and min(drawn.size) > 100


def test_images_take_at_most_a_twentieth_of_the_time(tmp_path, dataset):
    import time

    log = TensorBoardLog(tmp_path, dataset, SPEC)
    started = time.process_time()
    for epoch in range(1, 101):
        log.epoch(row(epoch), logits_of([0, 1, 1] * 3))
    quick = time.process_time() - started
    log._started -= 60  # as if a minute had passed
    log.epoch(row(101), logits_of([0, 1, 1] * 3))
    log.finish([row(epoch) for epoch in range(1, 102)])
    assert quick < 1
    assert [step for step, _ in logged_images(tmp_path, "confusion_matrix/head")] == [101]


def test_the_time_before_the_first_epoch_does_not_count(tmp_path, dataset):
    """Features may take hours, and the head after them a second."""
    log = TensorBoardLog(tmp_path, dataset, SPEC)
    log._started -= 3600
    for epoch in range(1, 4):
        log.epoch(dataclasses.replace(row(epoch), seconds=0.001), logits_of([0, 1, 1] * 3))
    log.epoch(dataclasses.replace(row(1, "fine_tune"), seconds=60.0), logits_of([0, 1, 1] * 3))
    assert [step for step, _ in logged_images(tmp_path, "confusion_matrix/head")] == [3]
    assert [step for step, _ in logged_images(tmp_path, "confusion_matrix/fine_tune")] == [1]


def test_only_the_curves_of_the_best_head_are_kept(tmp_path, dataset):
    """While they learn side by side the best so far is shown."""
    log = TensorBoardLog(tmp_path, dataset, SPEC)
    log.epoch(row(1, loss=5.0), logits_of([0] * 9))
    log.epoch(row(2, loss=0.5), logits_of([0] * 9))
    log.finish([row(1, loss=1.0), row(2, loss=0.5)])
    assert curve(tmp_path / "head", "loss") == [(1, 1.0), (2, 0.5)]


def test_a_resumed_training_shows_each_epoch_once(tmp_path, dataset):
    """The third epoch was shown, and its checkpoint was not written any more."""
    killed = TensorBoardLog(tmp_path, dataset, SPEC)
    for epoch in (1, 2, 3):
        killed.epoch(row(epoch, "fine_tune", loss=9.0), logits_of([0] * 9))
    again = TensorBoardLog(tmp_path, dataset, SPEC)
    for epoch in (1, 2):
        again.epoch(row(epoch, "fine_tune"), None)
    # With half the batch size the loop starts again from its checkpoint, in the same process.
    for epoch in (1, 2):
        again.epoch(row(epoch, "fine_tune"), None)
    for epoch in (3, 4):
        again.epoch(row(epoch, "fine_tune"), logits_of([0] * 9))
    again.finish([row(epoch, "fine_tune") for epoch in (1, 2, 3, 4)])
    assert curve(tmp_path / "fine_tune", "loss") == [(epoch, round(1 / epoch, 5)) for epoch in (1, 2, 3, 4)]
    assert len(list((tmp_path / "fine_tune").iterdir())) == 1


def test_the_confusion_matrix_has_true_classes_as_rows_and_predictions_as_columns():
    answers, labels = np.array([0, 0, 1]), np.array([0, 0, 0])
    pixels = np.asarray(draw_confusion_matrix(answers, labels, ["a", "b"]))
    blue_and_orange = [
        np.argwhere((np.abs(pixels.astype(int) - colour) < 40).all(axis=-1)).mean(axis=0)
        for colour in ((51, 142, 193), (243, 191, 152))
    ]
    right, wrong = blue_and_orange
    # Both in the upper row; the wrong answer to the right of the right one.
    assert abs(right[0] - wrong[0]) < 5 and wrong[1] - right[1] > 30


@pytest.mark.parametrize("classes", [2, 40, 300])
def test_a_confusion_matrix_stays_small_with_many_classes(classes: int):
    labels = np.arange(classes)
    drawn = draw_confusion_matrix(labels, labels, [f"a class with a long name {number}" for number in labels])
    assert max(drawn.size) < 800


def test_the_most_confident_errors_come_first_and_a_missing_image_is_gray(tmp_path, dataset):
    unconfident, confident = 1.0, 5.0
    logits = logits_of([sample.label for sample in dataset.val])
    logits[4] = unconfident * np.eye(3)[(dataset.val[4].label + 1) % 3]
    logits[7] = confident * np.eye(3)[(dataset.val[7].label + 1) % 3]
    thumbnails = Thumbnails(SPEC)
    sheet = np.asarray(draw_confident_errors(logits, dataset.val, dataset.classes, thumbnails))
    assert np.array_equal(sheet[6:118, 6:118], thumbnails.read(dataset.val[7], 112))
    assert np.array_equal(sheet[6:118, 124:236], thumbnails.read(dataset.val[4], 112))
    missing = Sample(tmp_path / "gone.jpg", "gone.jpg", 0)
    assert (thumbnails.read(missing, 8) == 128).all()
    all_right = draw_confident_errors(
        logits_of([sample.label for sample in dataset.val]), dataset.val, dataset.classes, thumbnails
    )
    assert all_right.size[0] > 100


def test_the_projector_gets_features_labels_and_thumbnails(tmp_path, dataset):
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    features = np.random.default_rng(0).normal(size=(18, 30)).astype(np.float32)
    write_projector(tmp_path, features, dataset, Thumbnails(SPEC))
    [embedding] = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), ProjectorConfig()).embeddings
    values = np.loadtxt(tmp_path / embedding.tensor_path, delimiter="\t")
    header, *lines = [line.split("\t") for line in (tmp_path / embedding.metadata_path).read_text().splitlines()]
    assert (values.shape, header, len(lines)) == ((18, 30), ["class", "split", "image"], 18)
    assert lines[0] == ["circle", "train", "circle/000.jpg"] and lines[17] == ["triangle", "val", "triangle/005.jpg"]
    sprite = Image.open(tmp_path / embedding.sprite.image_path)
    # Distances, which the projector shows, are those of the features.
    distances = [np.linalg.norm(rows[:, None] - rows[None], axis=-1) for rows in (features, values)]
    np.testing.assert_allclose(*distances, rtol=0.01, atol=0.01)
    assert sprite.size == (5 * 48, 5 * 48) and list(embedding.sprite.single_image_dim) == [48, 48]


def test_no_more_than_two_thousand_images_are_projected(tmp_path, dataset):
    many = Dataset(dataset.root, CLASSES, dataset.train * 300, dataset.val * 2, ())
    features = np.zeros((len(many.samples), 4), np.float32)
    write_projector(tmp_path, features, many, Thumbnails(SPEC))
    lines = (tmp_path / "metadata.tsv").read_text().splitlines()[1:]
    assert len(lines) == 2000 and {line.split("\t")[1] for line in lines} == {"train", "val"}


@pytest.mark.parametrize("images", [40, 8])
def test_principal_components_equal_those_of_the_singular_value_decomposition(images: int) -> None:
    features = np.random.default_rng(1).normal(size=(images, 12)) * np.arange(1, 13)
    centred = features - features.mean(axis=0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(principal_components(features, 5)), np.abs(left[:, :5] * scale[:5]), rtol=1e-6)


def test_tensorflow_is_not_needed():
    code = "import sys, model.tracking.tensorboard_log; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
