"""The Keras model that is written from a template, without Keras, compared with the one that Keras writes."""

import dataclasses
import io
import json
import re
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from model.backbones import BACKBONES
from model.bundle_files import KERAS_MODEL, ONNX_MODEL
from model.errors import ExportError
from model.export import model_files
from model.export.keras_file import KerasFile
from model.export.keras_template import KerasTemplate, keras_template
from model.export.model_files import compare_engines, export_classifier
from model.features.onnx_session import FEATURES
from model.importing.untrusted_keras import load_untrusted_network
from model.networks.converted_backbone import converted_backbone
from model.networks.network import build_classifier
from model.networks.pretrained import build_backbone
from model.results import InputSpec, Sample
from model.training.backbone import UsedBackbone, pretrained_backbone
from model.training.classifier import Classifier
from tests.support.tiny_network import REPLACED

TINY = BACKBONES[REPLACED]
SPEC = InputSpec.square(32)
HEADS = {
    "two classes": (2, 1.0),
    "three classes": (3, 0.37),
    "as many classes as features": (128, 2.5),
    "more classes than features": (1000, 1.4),
}


pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture(scope="module")
def graph(tiny_network: None) -> bytes:
    return converted_backbone(TINY, SPEC.height)


@pytest.fixture(scope="module")
def template(graph: bytes) -> KerasTemplate:
    return keras_template(TINY, SPEC.height, graph)


@pytest.fixture
def samples(shapes: Path) -> list[Sample]:
    return [Sample(path, path.name, 0) for path in sorted(shapes.rglob("*.jpg"))]


def _head(classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    return rng.normal(0, 1, (128, classes)).astype(np.float32), rng.normal(0, 1, classes).astype(np.float32)


def _configuration(file: KerasFile) -> str:
    """The configuration without the numbers that differ between networks built by one process."""
    text = json.dumps(file.configuration)
    for counted in (r'"shared_object_id": \d+', r"(?<=input_layer)_\d+", r"(?<=re_lu)_\d+", r"(?<=rescaling)_\d+"):
        text = re.sub(counted, "", text)
    return text


def _arrays(file: KerasFile) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with h5py.File(io.BytesIO(file.weights)) as weights:
        weights.visititems(
            lambda name, item: found.update({name: item[...].tobytes()}) if isinstance(item, h5py.Dataset) else None
        )
    return found


@pytest.mark.parametrize("head", HEADS)
def test_the_file_is_the_one_that_keras_writes(head: str, template: KerasTemplate, tmp_path: Path) -> None:
    classes, temperature = HEADS[head]
    by_keras = build_classifier(build_backbone(TINY, SPEC.height, "imagenet"), *_head(classes), temperature)
    by_keras.save(tmp_path / "keras.keras")
    template.file.with_head(*_head(classes), temperature).write(tmp_path / "ours.keras")
    ours, theirs = (KerasFile.read(tmp_path / name) for name in ("ours.keras", "keras.keras"))
    assert _configuration(ours) == _configuration(theirs) and _arrays(ours) == _arrays(theirs)
    assert ours.metadata.keys() == theirs.metadata.keys()


@pytest.mark.parametrize("head", HEADS)
def test_keras_loads_the_file_and_agrees_with_its_reader(head: str, template: KerasTemplate, tmp_path: Path) -> None:
    classes, temperature = HEADS[head]
    path = tmp_path / KERAS_MODEL
    template.file.with_head(*_head(classes), temperature).write(path)
    loaded = keras.models.load_model(path, compile=False, safe_mode=True)
    both = keras.Model(loaded.input, [loaded.get_layer(FEATURES).output, loaded.output])
    features, probabilities = (np.asarray(output) for output in both(template.images))
    assert np.abs(features - template.features).max() < 1e-5
    assert np.abs(KerasFile.read(path).probabilities(features) - probabilities).max() < 1e-6
    assert load_untrusted_network(path, tmp_path).output.shape == (None, classes)


def test_a_template_belongs_to_a_version_of_keras_and_to_a_graph(graph, template, monkeypatch):
    made: list[str] = []
    monkeypatch.setattr("model.export.keras_template._make", lambda *_arguments: made.append("once") or b"")
    monkeypatch.setattr(KerasTemplate, "from_bytes", classmethod(lambda cls, content: content))
    assert keras_template(TINY, SPEC.height, graph) and not made
    keras_template(TINY, SPEC.height, b"another graph")
    monkeypatch.setattr("model.export.keras_template.installed_version", lambda package: "99.0")
    keras_template(TINY, SPEC.height, graph)
    assert len(made) == 2


def test_a_format_that_keras_reads_otherwise_is_noticed_when_the_template_is_made(graph, monkeypatch, tmp_path):
    monkeypatch.setenv("TOPGRAFT_CACHE", str(tmp_path))
    with_head = KerasFile.with_head
    monkeypatch.setattr(KerasFile, "with_head", lambda file, kernel, bias, _: with_head(file, kernel, bias, 1.0))
    monkeypatch.setattr(KerasFile, "probabilities", lambda file, features: np.zeros((len(features), 3)))
    with pytest.raises(ExportError, match="expected Keras to load the head that was written"):
        keras_template(TINY, SPEC.height, graph)


def _weights_elsewhere(file: KerasFile) -> KerasFile:
    stream = io.BytesIO(file.weights)
    with h5py.File(stream, "r+") as weights:
        weights.move("layers", "variables")
    return dataclasses.replace(file, weights=stream.getvalue())


def _layers_elsewhere(file: KerasFile) -> KerasFile:
    return dataclasses.replace(file, configuration={"layers": file.configuration["config"]["layers"]})


def _unusable_configuration(file: KerasFile) -> KerasFile:
    changed = {name: value for name, value in file.configuration.items() if name != "class_name"}
    return dataclasses.replace(file, configuration=changed)


@pytest.mark.parametrize("change", [_weights_elsewhere, _layers_elsewhere, _unusable_configuration])
def test_another_format_of_keras_is_an_error_of_the_export(change, graph, monkeypatch, tmp_path):
    monkeypatch.setenv("TOPGRAFT_CACHE", str(tmp_path))
    read = KerasFile.read
    monkeypatch.setattr(KerasFile, "read", lambda source: change(read(source)))
    with pytest.raises(ExportError, match=r"expected Keras .* to write and read the known format, received: "):
        keras_template(TINY, SPEC.height, graph)
    assert not list(tmp_path.rglob("*.checked-keras"))


def _classifier(backbone: UsedBackbone) -> Classifier:
    kernel, bias = _head(3)
    empty = dict.fromkeys(field.name for field in dataclasses.fields(Classifier))
    return Classifier(**empty | {"backbone": backbone, "kernel": kernel, "bias": bias, "temperature": 1.3})


def test_both_ways_of_the_export_write_the_same_model(template, samples, tmp_path, monkeypatch):
    def refuse(*_arguments: object) -> KerasTemplate:
        raise ExportError("the format is another one")

    classifier = _classifier(pretrained_backbone(TINY, SPEC))
    ways = [tmp_path / "template", tmp_path / "keras"]
    for way in ways:
        way.mkdir()
    exported = [export_classifier(classifier, samples, SPEC, ways[0])]
    monkeypatch.setattr(model_files, "keras_template", refuse)
    exported.append(export_classifier(classifier, samples, SPEC, ways[1]))
    assert [one.engine for one in exported] == ["onnx", "onnx"]
    assert all(one.parity["max_difference"] < 1e-5 and one.parity["images"] == 8 for one in exported)
    files = [KerasFile.read(way / KERAS_MODEL) for way in ways]
    assert _configuration(files[0]) == _configuration(files[1]) and _arrays(files[0]) == _arrays(files[1])
    features = np.random.default_rng(0).uniform(0, 3, (5, 128)).astype(np.float32)
    assert np.array_equal(*(file.probabilities(features) for file in files))
    assert (ways[0] / ONNX_MODEL).read_bytes() == (ways[1] / ONNX_MODEL).read_bytes()
    images = np.random.default_rng(1).integers(0, 256, (3, *SPEC.shape), np.uint8)
    assert compare_engines(ways[0], images).parity["max_difference"] < 1e-5


def _other_head(file: KerasFile) -> KerasFile:
    return file.with_head(*_head(3), 4.0)


def _other_backbone(file: KerasFile) -> KerasFile:
    stream = io.BytesIO(file.weights)
    with h5py.File(stream, "r+") as weights:
        found: list[str] = []
        weights.visit(lambda name: found.append(name) if name.endswith("vars/0") and "functional" in name else None)
        weights[found[0]][...] += np.float32(1e-3)
    return dataclasses.replace(file, weights=stream.getvalue())


def test_a_file_with_another_head_is_not_taken_for_the_served_one(template, samples, tmp_path, monkeypatch):
    classifier = _classifier(pretrained_backbone(TINY, SPEC))
    read = KerasFile.read
    monkeypatch.setattr(KerasFile, "read", lambda source: _other_head(read(source)))
    exported = export_classifier(classifier, samples, SPEC, tmp_path)
    assert exported.engine == "keras" and not (tmp_path / ONNX_MODEL).exists()


def test_a_file_with_another_backbone_is_refused(template, samples, tmp_path, monkeypatch):
    classifier = _classifier(pretrained_backbone(TINY, SPEC))
    read = KerasFile.read
    monkeypatch.setattr(model_files.KerasFile, "read", lambda source: _other_backbone(read(source)))
    monkeypatch.setattr(model_files, "keras_template", lambda *_arguments: template)
    with pytest.raises(ExportError, match="expected the backbone that was written"):
        export_classifier(classifier, samples, SPEC, tmp_path)


def test_a_backbone_that_was_trained_further_is_written_by_keras(samples, tmp_path, monkeypatch):
    monkeypatch.setattr(model_files, "keras_template", lambda *_arguments: pytest.fail("it has other weights"))
    used = pretrained_backbone(TINY, SPEC)
    tuned = dataclasses.replace(used, pretrained=None)
    assert export_classifier(_classifier(tuned), samples, SPEC, tmp_path).engine == "onnx"
