"""Import of imgclas models: predictions equal those of the original network; other files are refused."""

import dataclasses
import hashlib
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from keras.src.applications import densenet

from model.cli import main
from model.config import TrainConfig
from model.dataset.images import decode_image
from model.errors import ConfigError, ModelError
from model.features.onnx_session import ACTIVATION_MAP, FEATURES, PROBABILITIES
from model.registry import find_bundle, model_names
from model.results import InputSpec
from model.runs import LOCK, interrupted_trainings, start_run
from model.runs.import_run import import_model
from model.serving.keras_engine import keras_engine
from model.serving.prediction_figure import draw_prediction
from model.serving.predictor import load_predictor
from model.training_result import ImportResult
from model.workspace import Workspace
from tests.support.imgclas_models import (
    CLASSES,
    NAME,
    SIZE,
    mobile_net,
    photo,
    preprocessed,
    small_backbone,
    with_head,
    write_folder,
)


def original_answers(network: keras.Model, mode: str, photos: list[bytes]) -> np.ndarray:
    spec = InputSpec(*network.input.shape[1:3])
    return network.predict_on_batch(preprocessed(np.stack([decode_image(item, spec) for item in photos]), mode))


def content_of(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


@dataclasses.dataclass(frozen=True)
class Imported:
    """An imported model, and what it comes from."""

    network: keras.Model
    mode: str
    folder: Path
    workspace: Workspace
    result: ImportResult
    before: dict[str, str]


CASES = {
    "MobileNet-tf-h5": (mobile_net, "tf", "final_model.h5"),
    "small-torch-keras": (small_backbone, "torch", "final_model.keras"),
    "small-caffe-best": (small_backbone, "caffe", "best_model.keras"),
}


@pytest.fixture(scope="module", params=CASES)
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    backbone, mode, file = CASES[request.param]
    keras.utils.set_random_seed(1)
    network = with_head(backbone(), mode)
    root = tmp_path_factory.mktemp("imported")
    (root / "models").mkdir()
    folder = write_folder(root / NAME, network, mode, file, request.param.split("-")[0])
    before = content_of(folder)
    workspace = Workspace(root)
    return Imported(network, mode, folder, workspace, import_model(folder, workspace), before)


def test_imported_predictions_equal_those_of_the_original_network(imported: Imported) -> None:
    photos = [photo(seed) for seed in range(6)]
    expected = original_answers(imported.network, imported.mode, photos)
    assert expected.std(axis=0).max() > 0.1, "the test network predicts the same for each image"
    bundle = find_bundle(imported.workspace, NAME)
    predictor = load_predictor(bundle)
    answers = predictor.probabilities(np.stack([predictor.decode(item) for item in photos]))
    assert np.abs(answers - expected).max() < 1e-4
    assert bundle.manifest.engine == "onnx" and bundle.manifest.parity["max_difference"] < 1e-4
    for row, prediction in zip(expected, predictor.predict_stream([("photo", item) for item in photos]), strict=True):
        assert prediction.labels[0] == CLASSES[int(row.argmax())]
        assert prediction.probabilities[0] == pytest.approx(row.max(), abs=1e-4)
        assert not prediction.unknown
    saved = keras.models.load_model(bundle.directory / "model.keras", compile=False, safe_mode=True)
    assert saved.input.dtype == "uint8"
    assert "Lambda" not in json.dumps(saved.get_config(), default=str)


def test_both_engines_have_the_same_outputs_and_the_activation_map_is_grad_cam(imported: Imported) -> None:
    import tensorflow as tf

    bundle = find_bundle(imported.workspace, NAME)
    predictor, by_keras = load_predictor(bundle), keras_engine(bundle)
    pixels = predictor.decode(photo(3))
    maps = predictor.activation_maps(pixels)
    assert maps.dtype == np.float32 and maps.shape[-1] == len(CLASSES) and np.isfinite(maps).all()
    # A hidden unit next to zero may be active in one engine only.
    tolerance = 0.02 * np.abs(maps).max()
    assert np.allclose(maps, by_keras(pixels[None], ACTIVATION_MAP)[0][0], atol=tolerance)
    assert np.allclose(predictor.probabilities(pixels[None]), by_keras(pixels[None], PROBABILITIES)[0], atol=1e-4)
    features = predictor._engine(pixels[None], FEATURES)[0]
    assert features.shape == (1, 1024) and np.allclose(features, by_keras(pixels[None], FEATURES)[0], atol=1e-3)

    pooling = next(layer for layer in imported.network.layers if isinstance(layer, layers.GlobalAveragePooling2D))
    feature_map = keras.Model(imported.network.input, pooling.input)(preprocessed(pixels[None], imported.mode))
    hidden, head = imported.network.layers[-2:]
    with tf.GradientTape() as tape:
        tape.watch(feature_map)
        logits = hidden(pooling(feature_map)) @ head.kernel
        of_second = logits[0, 1]
    weights = np.asarray(tape.gradient(of_second, feature_map)) * maps.shape[0] * maps.shape[1]
    assert np.allclose(maps[..., 1], (np.asarray(feature_map) * weights)[0].sum(-1), atol=tolerance)


def test_the_manifest_states_the_origin_of_the_model(imported: Imported) -> None:
    bundle = find_bundle(imported.workspace, NAME)
    bundle.verify()
    manifest = bundle.manifest
    assert manifest.classes == CLASSES and manifest.scaling == imported.mode and manifest.resize == "squash"
    assert manifest.created == "2019-03-14T10:15:00+00:00"
    assert manifest.train_config["conf"] == json.loads((imported.folder / "conf" / "conf.json").read_text())
    origin = manifest.train_config["imported"]
    [checkpoint] = (imported.folder / "ckpts").iterdir()
    assert origin["module"] == "imgclas" and origin["checkpoint"] == f"ckpts/{checkpoint.name}"
    assert origin["sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert manifest.dataset["counts"]["train"] == dict(zip(CLASSES, (1, 1, 2), strict=True))
    assert imported.result.warnings == ("dataset_files/train.txt: 1 of 5 lines name no known class",)
    if checkpoint.name.startswith("final_model"):
        assert manifest.metrics["val"]["accuracy"] == 0.5 and manifest.metrics["val"]["images"] == 2
    else:
        assert manifest.metrics == {}
    assert (bundle.directory / "results.csv").read_text().splitlines()[1].startswith("imgclas,1,0.9,0.5,")
    answer = imported.result.to_json()
    assert json.loads(json.dumps(answer)) == answer


def test_the_source_is_unchanged_and_no_temporary_file_is_left(imported: Imported) -> None:
    assert content_of(imported.folder) == imported.before
    assert [path.name for path in imported.workspace.running.iterdir()] == [LOCK]
    assert interrupted_trainings(imported.workspace) == []


def test_a_prediction_can_be_drawn(imported: Imported) -> None:
    predictor = load_predictor(find_bundle(imported.workspace, NAME))
    [prediction] = predictor.predict_stream([("photo", photo(1))])
    assert draw_prediction(predictor, photo(1), prediction).startswith(b"\x89PNG")


def test_an_archive_is_imported_by_the_command_and_used_by_it(
    workspace: Workspace, folder: Path, network: keras.Model, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = folder.parent / "weights.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(folder, arcname=NAME)
    place = ["--workspace", str(workspace.root)]
    assert main([*place, "import", str(archive), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["status"], result["model"], result["classes"]) == ("done", NAME, len(CLASSES))
    (folder.parent / "photo.jpg").write_bytes(photo(5))
    assert main([*place, "predict", "latest", str(folder.parent / "photo.jpg"), "--json"]) == 0
    [prediction] = json.loads(capsys.readouterr().out)["predictions"]
    [expected] = original_answers(network, "tf", [photo(5)])
    found = dict(zip(prediction["labels"], prediction["probabilities"], strict=True))
    assert [found[name] for name in CLASSES] == pytest.approx(expected, abs=1e-4)
    assert main([*place, "models", "show", NAME]) == 0
    assert "accuracy 50.0 %" in capsys.readouterr().out
    assert main([*place, "models", "list"]) == 0
    assert main([*place, "import", str(folder), "--name", "terns"]) == 0
    assert "Imported terns" in capsys.readouterr().out
    assert main([*place, "import", str(folder)]) == 2
    assert "expected a name that is not in use" in capsys.readouterr().err
    assert model_names(workspace) == [NAME, "terns"]


def test_an_archive_without_a_top_folder_gives_its_own_name(workspace: Workspace, folder: Path) -> None:
    archive = shutil.make_archive(str(folder.parent / "my-terns"), "gztar", folder)
    assert import_model(Path(archive), workspace).model == "my-terns"


def test_a_name_that_no_model_can_have_is_refused(workspace: Workspace, folder: Path) -> None:
    with pytest.raises(ConfigError, match="--name"):
        import_model(folder.rename(folder.parent / "my terns"), workspace)


def test_leftovers_of_a_killed_import_are_removed(workspace: Workspace, folder: Path) -> None:
    left = workspace.running / NAME
    (left / "bundle").mkdir(parents=True)
    (left / LOCK).touch()
    assert interrupted_trainings(workspace) == []
    with start_run(TrainConfig(name=NAME), workspace).lock:
        assert not (left / "bundle").exists()
    shutil.rmtree(left)
    (left / "bundle").mkdir(parents=True)
    (left / LOCK).touch()
    assert import_model(folder, workspace).model == NAME


def edit_description(folder: Path, edit: Callable[[str], str]) -> None:
    """Change how the .h5 file describes its network."""
    with h5py.File(folder / "ckpts" / "final_model.h5", "r+") as file:
        file.attrs["model_config"] = edit(file.attrs["model_config"])


def save_as(folder: Path, network: keras.Model, file: str) -> None:
    (folder / "ckpts" / "final_model.h5").unlink()
    network.save(folder / "ckpts" / file)


@keras.saving.register_keras_serializable("Mine")
class Doubled(layers.Layer):
    """A layer that is not Keras's own."""

    def call(self, inputs: Any) -> Any:
        return inputs * 2


@pytest.mark.parametrize("file", ["final_model.h5", "final_model.keras"])
@pytest.mark.parametrize("kind", ["Lambda", "Doubled"])
def test_a_layer_that_contains_code_is_refused(workspace: Workspace, folder: Path, kind: str, file: str) -> None:
    image = keras.Input((SIZE, SIZE, 3))
    layer = layers.Lambda(lambda x: x * 2, name="code") if kind == "Lambda" else Doubled(name="code")
    save_as(folder, with_head(keras.Model(image, layers.Conv2D(4, 3)(layer(image)))), file)
    with pytest.raises(ModelError, match=f"{kind} 'code'.*not loaded") as caught:
        import_model(folder, workspace)
    assert caught.value.exit_status == 4


def rewrite_keras(folder: Path, network: keras.Model, edit: Callable[[dict[str, str]], Any]) -> None:
    """Save as .keras, with the texts in it changed by `edit`."""
    save_as(folder, network, "final_model.keras")
    path = folder / "ckpts" / "final_model.keras"
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    texts = {name: value.decode() for name, value in content.items() if name.endswith(".json")}
    edit(texts)
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in (content | {name: text.encode() for name, text in texts.items()}).items():
            archive.writestr(name, value)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda texts: texts.update({"assets/run.sh": "true"}), "found assets/run.sh"),
        (
            lambda texts: texts.update({"metadata.json": '{"keras_version": "2.15.0"}'}),
            "it was written by Keras 2.15.0",
        ),
        (
            lambda texts: texts.update(
                {
                    "config.json": texts["config.json"].replace(
                        '"keras.layers", "class_name": "Add"', '"os", "class_name": "Add"'
                    )
                }
            ),
            "found Add 'add.*of os",
        ),
    ],
    ids=["another file", "Keras 2", "another module"],
)
def test_a_keras_file_with_unexpected_entries_is_refused(
    workspace: Workspace, folder: Path, network: keras.Model, edit: Callable[[dict[str, str]], Any], reason: str
) -> None:
    rewrite_keras(folder, network, edit)
    with pytest.raises(ModelError, match=reason):
        import_model(folder, workspace)


def test_the_compile_configuration_is_ignored(workspace: Workspace, folder: Path) -> None:
    with h5py.File(folder / "ckpts" / "final_model.h5", "r+") as file:
        file.attrs["training_config"] = json.dumps({"optimizer_config": {"class_name": "customAdam", "config": {}}})
    assert import_model(folder, workspace).model == NAME


def test_a_file_of_keras_2_is_read(workspace: Workspace, folder: Path, network: keras.Model) -> None:
    def as_keras_2(text: str) -> str:
        description = json.loads(text.replace('"first"', '"block/first"').replace('"depthwise"', '"block/depthwise"'))
        for layer in description["config"]["layers"]:
            if layer["class_name"] in ("DepthwiseConv2D", "SeparableConv2D"):
                layer["config"] |= {"groups": 1, "kernel_initializer": None, "kernel_regularizer": None}
        return json.dumps(description)

    edit_description(folder, as_keras_2)
    import_model(folder, workspace)
    predictor = load_predictor(find_bundle(workspace, NAME))
    [expected] = original_answers(network, "tf", [photo(2)])
    assert predictor.probabilities(predictor.decode(photo(2))[None])[0] == pytest.approx(expected, abs=1e-4)


def test_another_structure_is_refused(workspace: Workspace, folder: Path) -> None:
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Flatten()(layers.Conv2D(4, 3)(image))
    save_as(folder, keras.Model(image, layers.Dense(len(CLASSES), activation="softmax")(x)), "final_model.h5")
    with pytest.raises(ModelError, match=r"GlobalAveragePooling2D.*found at its end: .*Dense softmax"):
        import_model(folder, workspace)


def test_a_head_of_another_structure_is_imported(workspace: Workspace, folder: Path) -> None:
    keras.utils.set_random_seed(4)
    backbone = small_backbone()
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(backbone.output))
    x = layers.Dense(6, activation="relu")(layers.Dense(5, use_bias=False)(x))
    x = layers.Activation("softmax")(layers.Dense(len(CLASSES))(x))
    network = keras.Model(backbone.input, x)
    save_as(folder, network, "epoch-30.keras")
    assert import_model(folder, workspace).max_difference < 1e-4
    bundle = find_bundle(workspace, NAME)
    predictor = load_predictor(bundle)
    pixels = predictor.decode(photo(1))
    maps = predictor.activation_maps(pixels)
    assert np.allclose(maps, keras_engine(bundle)(pixels[None], ACTIVATION_MAP)[0][0], atol=1e-5)


@pytest.mark.slow
def test_a_deep_backbone_of_imgclas_is_imported(workspace: Workspace, tmp_path: Path) -> None:
    name, size, mode, file = "DenseNet121", 64, "torch", "final_model.h5"
    keras.utils.set_random_seed(3)
    # Half of the blocks of DenseNet121: 60 layers of weights.
    backbone = densenet.DenseNet([3, 6, 12, 8], weights=None, include_top=False, input_shape=(size, size, 3))
    # Without training a deep network magnifies rounding: at a spread of 1, ResNet50 in Keras is 1e-4 from itself
    # in double precision (its ONNX graph 2e-5), so what is compared would be the rounding.
    network = with_head(backbone, mode, spread=0.3)
    folder = write_folder(tmp_path / name, network, mode, file, name)
    result = import_model(folder, workspace)
    assert result.engine == "onnx"
    predictor = load_predictor(find_bundle(workspace, name))
    photos = [photo(seed) for seed in range(3)]
    answers = predictor.probabilities(np.stack([predictor.decode(item) for item in photos]))
    expected = original_answers(network, mode, photos)
    assert expected.std(axis=0).max() > 0.02, "the test network predicts the same for each image"
    assert np.abs(answers - expected).max() < 1e-4
