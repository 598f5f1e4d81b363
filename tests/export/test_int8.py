"""Int8 quantisation: a small network of the same accuracy, or none."""

import csv

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from model.bundle import FEATURE_SCALE
from model.bundle_files import ONNX_MODEL
from model.config import TrainConfig
from model.export import int8
from model.features.onnx_session import FEATURES
from model.networks.quantization import quantize
from model.registry import find_bundle
from model.runs.trainer import train
from model.serving.held_out_features import read_held_out
from model.serving.predictor import load_predictor
from tests.support.held_out import held_out_as_served


def config(shapes, **options: object) -> TrainConfig:
    return TrainConfig(dataset=str(shapes), name="m", image_size=64, folds=0, precision="int8", **options)


@pytest.mark.slow  # calibrates a network
def test_an_int8_network_is_small_and_predicts_like_the_float32_one(workspace, shapes, monkeypatch):
    float32: list[bytes] = []

    def keep(graph, images):
        float32.append(graph.read_bytes())
        return quantize(graph, images)

    monkeypatch.setattr(int8, "quantize", keep)
    result = train(config(shapes), workspace)
    bundle = find_bundle(workspace, "m")
    bundle.verify()
    assert bundle.manifest.precision == "int8" and "int8" not in str(result.warnings)
    assert bundle.manifest.parity["val_accuracy_int8"] >= bundle.manifest.parity["val_accuracy_float32"] - 0.005
    content = (bundle.directory / ONNX_MODEL).read_bytes()
    assert len(content) < len(float32[0]) / 3
    before, after = (onnxruntime.InferenceSession(graph) for graph in (float32[0], content))
    images = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    expected, found = (session.run(None, {"image": images}) for session in (before, after))
    assert [one.shape for one in expected] == [one.shape for one in found]
    assert 0 < np.abs(expected[0] - found[0]).max() < 0.3
    photos = [(path.name, path.read_bytes()) for path in sorted((shapes / "circle").iterdir())]
    answers = list(load_predictor(bundle).predict_stream(photos))
    assert [answer.labels[0] for answer in answers].count("circle") > len(answers) * 0.8
    # Not as the float32 network saw them: new photos would seem to have drifted.
    assert np.abs(held_out_as_served(bundle) - read_held_out(bundle) / FEATURE_SCALE).max() < 0.005
    # The reported test predictions are those of the exported network.
    with open(bundle.directory / "predictions" / "test.csv", newline="", encoding="utf-8") as stream:
        test_rows = {row["image"]: float(row["probability"]) for row in csv.DictReader(stream)}
    served = load_predictor(bundle).predict_stream([(name, (shapes / name).read_bytes()) for name in test_rows])
    assert [answer.probabilities[0] for answer in served] == pytest.approx(list(test_rows.values()), abs=1e-4)
    assert "ONNX Runtime in int8" in (bundle.directory / "report.html").read_text()


def test_an_int8_network_of_lower_accuracy_is_refused(workspace, shapes, monkeypatch):
    monkeypatch.setattr(int8, "quantize", lambda graph, images: _wrong(graph))
    result = train(config(shapes), workspace)
    [warning] = [warning for warning in result.warnings if "int8" in warning]
    assert "was refused" in warning and "at most 0.5% may be lost" in warning
    bundle = find_bundle(workspace, "m")
    assert bundle.manifest.precision == "float32"
    assert bundle.manifest.parity["val_accuracy_int8"] < 0.5 < bundle.manifest.parity["val_accuracy_float32"]


def _wrong(graph) -> bytes:
    """The same graph with its features in another order, and a head that knows: it answers as before, like a head
    that has overfitted the validation images."""
    model = onnx.load(graph)
    nodes = model.graph.node
    for place, node in enumerate(nodes):
        if FEATURES in node.output:
            node.output[list(node.output).index(FEATURES)] = "in_order"
            nodes.insert(place + 1, onnx.helper.make_node("Gather", ["in_order", "order"], [FEATURES], axis=1))
            break
    for tensor in model.graph.initializer:
        if tensor.name == "head_kernel":
            kernel = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(np.roll(kernel, 1, axis=0), tensor.name))
    order = np.roll(np.arange(len(kernel)), 1)
    model.graph.initializer.append(numpy_helper.from_array(order, "order"))
    return model.SerializeToString()
