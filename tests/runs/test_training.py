"""Complete trainings, from a folder of photos to a model that predicts."""

import csv
import dataclasses
import errno
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.bundle import FEATURE_SCALE
from model.config import PredictConfig, TrainConfig
from model.dataset.images import read_image
from model.errors import ConfigError, DatasetError, StorageError, TrainingBusyError
from model.registry import find_bundle, model_names
from model.results import InputSpec, TrainingStatus
from model.runs import interrupted_trainings, running_trainings, start_run
from model.runs.trainer import train
from model.serving.held_out_features import read_held_out
from model.serving.keras_engine import keras_engine
from model.serving.predictor import load_predictor
from model.training_result import TrainingResult
from model.workspace import Workspace
from tests.support.held_out import held_out_as_served
from tests.support.shapes import CLASSES


@pytest.fixture(scope="module")
def trained(tmp_path_factory, shapes) -> tuple[Workspace, TrainingResult]:
    workspace = Workspace(tmp_path_factory.mktemp("trained"))
    workspace.models.mkdir()
    return workspace, train(TrainConfig(dataset=str(shapes), name="shapes"), workspace)


def test_a_training_produces_a_complete_model(trained):
    workspace, result = trained
    assert result.model == "shapes"
    bundle = find_bundle(workspace, "shapes")
    bundle.verify()
    expected = {
        "model.keras",
        "model.onnx",
        "training_features.npz",
        "held_out_features.npz",
        "results.csv",
        "training_cost.json",
        "report.html",
        "predictions/cross_validation.csv",
        "dataset_files/classes.txt",
        "dataset_files/train.txt",
        "dataset_files/val.txt",
        "dataset_files/test.txt",
        "dataset_files/rejected.csv",
        "dataset_files/train.sha256",
        "dataset_files/val.sha256",
    }
    assert expected <= set(bundle.manifest.files)
    assert any(name.startswith("logs/") for name in bundle.manifest.files)
    assert bundle.manifest.classes == CLASSES
    assert bundle.manifest.metrics["cross_validation"]["accuracy"] >= 0.8
    assert bundle.manifest.parity["max_difference"] < 1e-4
    assert list(workspace.running.glob("*/")) == []


def test_few_images_are_cross_validated_and_all_trained_on(trained):
    workspace, result = trained
    assert list(result.metrics) == ["val", "cross_validation"]
    measured = result.metrics["cross_validation"]
    low, high = measured["accuracy_interval"]
    assert measured["images"] == 36 and low < measured["accuracy"] <= high and 0 < measured["macro_f1"] <= 1
    directory = workspace.models / "shapes"
    with open(directory / "predictions" / "cross_validation.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len({row["image"] for row in rows}) == 36
    assert np.mean([row["correct"] == "true" for row in rows]) == pytest.approx(measured["accuracy"])
    report = (directory / "report.html").read_text(encoding="utf-8")
    assert "10-fold cross-validation" in report and "trained without it" in report


def test_the_result_is_plain_json(trained):
    _, result = trained
    answer = result.to_json()
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer and answer["status"] == "done"
    assert TrainingResult.from_json(answer) == result


def test_results_csv_has_a_row_per_epoch(trained):
    workspace, _ = trained
    with open(workspace.models / "shapes" / "results.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["epoch"]) for row in rows] == list(range(1, len(rows) + 1))
    assert set(rows[0]) == {
        "phase",
        "epoch",
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "seconds",
        "val_macro_f1",
    }
    assert all(0 <= float(row["val_macro_f1"]) <= 1 for row in rows)


def test_reference_statistics_equal_those_of_the_service(trained):
    workspace, _ = trained
    bundle = find_bundle(workspace, "shapes")
    held_out, described = read_held_out(bundle) / FEATURE_SCALE, held_out_as_served(bundle)
    # Two axes lie between three classes; the other numbers are the distance and the first axes.
    assert described.shape == held_out.shape == (len(described), 1 + 4 + len(CLASSES) - 1)
    assert np.abs(described - held_out).max() < 0.005


def test_the_model_recognises_a_new_photo(trained, tmp_path):
    from tests.support.shapes import write_shapes

    workspace, _ = trained
    new = write_shapes(tmp_path / "new", 4, seed=77)
    predictor = load_predictor(find_bundle(workspace))
    photos = [(path.parent.name, path.read_bytes()) for path in sorted(new.rglob("*.jpg"))]
    answers = list(predictor.predict_stream(photos))
    assert sum(answer.labels[0] == answer.image for answer in answers) >= 10


def test_training_is_deterministic_to_the_bit(trained, shapes):
    workspace, _ = trained
    train(TrainConfig(dataset=str(shapes), name="again"), workspace)
    first, second = (
        load_predictor(find_bundle(workspace, name)).probabilities(_images(shapes)) for name in ("shapes", "again")
    )
    assert np.array_equal(first, second)


def test_the_keras_model_takes_pixels_and_predicts_as_the_service(trained, shapes):
    import keras

    workspace, _ = trained
    bundle = find_bundle(workspace, "shapes")
    network = keras.models.load_model(bundle.directory / "model.keras", compile=False, safe_mode=True)
    assert network.input.dtype == "uint8"
    pixels = _images(shapes)
    np.testing.assert_allclose(np.asarray(network(pixels)), load_predictor(bundle).probabilities(pixels), atol=1e-4)


def test_training_images_are_near_and_other_images_out_of_distribution(trained, shapes):
    workspace, _ = trained
    predictor = load_predictor(find_bundle(workspace, "shapes"))
    assert predictor.marks == ("unknown", "uncertain")
    name = predictor.reference.names[0]
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)).save(noise, "PNG")
    photos = [(name, (shapes / name).read_bytes()), ("noise", noise.getvalue())]
    known, unlike = predictor.predict_stream(photos, PredictConfig(neighbours=2))
    assert (known.neighbours[0].image, known.neighbours[0].label) == (name, name.split("/")[0])
    assert known.neighbours[0].distance < 0.02 and not known.unknown
    assert (
        unlike.unknown
        and not unlike.uncertain
        and unlike.unknown_reason == "features"
        and unlike.distance > known.distance
    )


def test_a_model_without_onnx_is_served_by_keras_with_the_same_predictions(trained, shapes):
    workspace, _ = trained
    bundle = find_bundle(workspace, "shapes")
    by_keras = dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, engine="keras"))
    pixels = _images(shapes)
    one, other = load_predictor(bundle), load_predictor(by_keras)
    np.testing.assert_allclose(one.probabilities(pixels), other.probabilities(pixels), atol=1e-4)
    np.testing.assert_allclose(one.activation_maps(pixels[0]), other.activation_maps(pixels[0]), atol=1e-3)


def test_the_keras_graph_predicts_as_its_layers(trained, shapes, monkeypatch):
    import keras

    workspace, _ = trained
    bundle = find_bundle(workspace, "shapes")
    network = keras.models.load_model(bundle.directory / "model.keras", compile=False, safe_mode=True)
    pixels = _images(shapes)
    layer_by_layer = np.asarray(network(pixels, training=False))
    engine = keras_engine(bundle)

    def refuse(*_arguments, **_options):
        raise AssertionError("expected the graph that was made when the model was loaded")

    monkeypatch.setattr(keras.layers.Layer, "__call__", refuse)
    for count in (len(pixels), 1, 2):
        np.testing.assert_allclose(engine(pixels[:count], "probabilities")[0], layer_by_layer[:count], atol=1e-5)
    features, probabilities = engine(pixels, "features", "probabilities")
    assert features.shape[0] == len(pixels) and features.shape[1] > probabilities.shape[1]
    np.testing.assert_allclose(probabilities, layer_by_layer, atol=1e-5)


def test_the_activation_map_adds_up_to_the_logits(trained, shapes):
    workspace, _ = trained
    predictor = load_predictor(find_bundle(workspace, "shapes"))
    one_image = _images(shapes)[:1]
    activation = predictor.activation_maps(one_image[0]).mean(axis=(0, 1))
    log_odds = np.log(predictor.probabilities(one_image)[0])
    differences = (log_odds - activation) - (log_odds - activation).mean()
    bias = _bias(workspace.models / "shapes" / "model.onnx")
    np.testing.assert_allclose(differences, bias - bias.mean(), atol=1e-3)


@pytest.mark.slow
def test_fine_tuning_that_does_not_help_is_discarded(workspace, shapes):
    config = TrainConfig(
        dataset=str(shapes),
        name="m",
        fine_tune="top",
        fine_tune_epochs=1,
        fine_tune_learning_rate=0.1,
        image_size=64,
        folds=0,
    )
    result = train(config, workspace)
    rows = (workspace.models / "m" / "results.csv").read_text().splitlines()
    assert rows[-1].startswith("fine_tune,")
    plain = dataclasses.replace(config, name="plain", fine_tune="none")
    train(plain, workspace)
    kernels = [_bias(workspace.models / name / "model.onnx") for name in ("m", "plain")]
    assert np.array_equal(*kernels)
    [remark] = result.remarks
    assert "fine-tuning reached val_loss" in remark and "left out" in remark
    assert remark in (workspace.models / "m" / "report.html").read_text()


@pytest.fixture(scope="module")
def watched(
    tmp_path_factory: pytest.TempPathFactory, shapes: Path
) -> tuple[Workspace, TrainingResult, list[TrainingStatus]]:
    """A small training on photos of which one is damaged, its result, and every status on the way."""
    workspace = Workspace(tmp_path_factory.mktemp("watched"))
    workspace.models.mkdir()
    photos = workspace.data / "photos"
    shutil.copytree(shapes, photos)
    (photos / "circle" / "001.jpg").write_bytes(b"no image")
    statuses: list[TrainingStatus] = []

    def watch(*_step: object, **_metrics: float) -> None:
        statuses.extend(running_trainings(workspace))

    config = TrainConfig(dataset=str(photos), name="m", fine_tune="auto", image_size=64, folds=0)
    return workspace, train(config, workspace, watch), statuses


def test_auto_states_its_choice_and_the_reason(watched):
    _, result, _ = watched
    [remark] = result.remarks
    assert remark.startswith("fine_tune = auto chose none: 6 validation images are too few")


@pytest.mark.slow
@pytest.mark.parametrize("part", ["top", "all"])
def test_fine_tuning_that_helps_is_kept_and_served(workspace, shapes, part):
    config = TrainConfig(
        dataset=str(shapes), name="tuned", fine_tune=part, epochs=1, fine_tune_epochs=15, image_size=96, patience=20
    )
    result = train(config, workspace)
    assert "was kept" in result.remarks[0]
    bundle = find_bundle(workspace, "tuned")
    bundle.verify()
    assert bundle.manifest.engine == "onnx" and bundle.manifest.parity["max_difference"] < 1e-4
    # Training photos are checked by heads on the features before fine-tuning.
    page = (bundle.directory / "report.html").read_text(encoding="utf-8")
    assert re.search(r"(labels of|Of) \d+ training", page) and "Training photos were not checked" not in page
    plain = dataclasses.replace(config, name="plain", fine_tune="none")
    train(plain, workspace)
    assert not np.array_equal(*(_bias(workspace.models / name / "model.onnx") for name in ("tuned", "plain")))


@pytest.mark.slow
def test_a_network_can_be_trained_from_scratch(workspace, shapes):
    config = TrainConfig(
        dataset=str(shapes), name="scratch", weights="none", backbone="MobileNetV3Small", epochs=2, image_size=64
    )
    train(config, workspace)
    bundle = find_bundle(workspace, "scratch")
    bundle.verify()
    assert bundle.manifest.parity["max_difference"] < 1e-4
    page = " ".join((bundle.directory / "report.html").read_text(encoding="utf-8").split())
    assert "because the network learned its features from them" in page
    assert "Not measured: the network learned its features from all training photos" in page


@pytest.mark.slow
def test_a_network_that_onnx_cannot_represent_is_served_by_keras_with_a_warning(workspace, shapes, monkeypatch):
    from model.errors import ExportError

    def refuse(network):
        raise ExportError(f"{network.name} cannot be converted to ONNX: an operation is unknown")

    monkeypatch.setenv("TOPGRAFT_CACHE", str(workspace.root / "cache"))
    monkeypatch.setattr("model.networks.onnx_export.convert_backbone", refuse)
    result = train(TrainConfig(dataset=str(shapes), name="m", image_size=96), workspace)
    bundle = find_bundle(workspace, "m")
    assert bundle.manifest.engine == "keras" and "model.onnx" not in bundle.manifest.files
    assert any("served by Keras" in warning for warning in result.warnings)
    assert load_predictor(bundle).probabilities(_images(shapes, 96)).shape == (3, 3)


@pytest.mark.slow
@pytest.mark.usefixtures("empty_cache")
def test_features_are_extracted_once(workspace, shapes):
    phases: list[list[str]] = []
    for name in ("first", "second"):
        phases.append([])
        train(
            TrainConfig(dataset=str(shapes), name=name, image_size=96, folds=0),
            workspace,
            lambda phase, *_done, **_metrics: phases[-1].append(phase),
        )
    assert "features" in phases[0] and "features" not in phases[1]


def test_a_name_in_use_is_refused_and_the_model_kept(trained, shapes):
    workspace, _ = trained
    before = (workspace.models / "shapes" / "manifest.json").read_bytes()
    with pytest.raises(ConfigError, match="models remove shapes"):
        train(TrainConfig(dataset=str(shapes), name="shapes"), workspace)
    assert (workspace.models / "shapes" / "manifest.json").read_bytes() == before


def test_a_second_training_is_refused_with_the_name_of_the_first(workspace, shapes):
    first = start_run(TrainConfig(name="first"), workspace)
    with pytest.raises(TrainingBusyError, match="first"):
        train(TrainConfig(dataset=str(shapes)), workspace)
    assert [status.name for status in running_trainings(workspace)] == ["first"]
    first.lock.close()
    assert running_trainings(workspace) == []
    assert [(status.name, status.state) for status in interrupted_trainings(workspace)] == [("first", "interrupted")]


def test_two_trainings_of_the_same_second_get_two_names(workspace, monkeypatch):
    monkeypatch.setenv("TOPGRAFT_MAX_TRAININGS", "3")
    names = {start_run(TrainConfig(), workspace).name for _ in range(3)}
    assert len(names) == 3


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_limit_that_is_no_number_falls_back_to_the_default(workspace, monkeypatch, value):
    monkeypatch.setenv("TOPGRAFT_MAX_TRAININGS", value)
    with start_run(TrainConfig(), workspace).lock, pytest.raises(TrainingBusyError, match="fewer than 1"):
        start_run(TrainConfig(), workspace)


def test_skipped_images_are_listed_in_the_result(watched):
    workspace, result, _ = watched
    assert "1 image that cannot be decoded is left out" in result.warnings[0]
    assert "circle/001.jpg" in (workspace.models / "m" / "dataset_files" / "rejected.csv").read_text()


def test_a_training_refused_on_a_full_disk_leaves_no_files(workspace, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("model.durable.write_json", full)
        with pytest.raises(StorageError, match="No space left"):
            start_run(TrainConfig(name="m"), workspace)
    start_run(TrainConfig(name="m"), workspace)


def test_the_error_of_damaged_options_states_the_remedy(workspace):
    start_run(TrainConfig(name="m"), workspace).lock.close()
    (workspace.running / "m" / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="models remove m"):
        train(TrainConfig(resume="m"), workspace)


def test_the_time_left_is_reported_only_when_known(watched):
    _, _, statuses = watched
    assert {"check", "prepare", "head", "export"} <= {status.phase for status in statuses}
    assert all(status.eta_seconds != 0 for status in statuses if status.epoch < status.epochs)


def test_an_unusable_dataset_leaves_no_files(workspace):
    with pytest.raises(DatasetError):
        train(TrainConfig(dataset=str(workspace.root / "missing")), workspace)
    assert model_names(workspace) == [] and interrupted_trainings(workspace) == []


def _images(shapes: Path, size: int = 224) -> np.ndarray:
    return np.stack([read_image(shapes / name / "000.jpg", InputSpec.square(size)) for name in CLASSES])


def _bias(graph: Path) -> np.ndarray:
    import onnx
    from onnx import numpy_helper

    initializers = onnx.load(str(graph)).graph.initializer
    return next(numpy_helper.to_array(value) for value in initializers if value.name == "head_bias")
