"""A model that a real server loads in no time: the mean colour of the photo decides."""

import dataclasses
from pathlib import Path

import numpy as np

from model.bundle import Bundle, Manifest, open_bundle, write_manifest
from model.bundle_files import HELD_OUT_FEATURES, ONNX_MODEL, TRAINING_FEATURES
from model.evaluation.unknown import describe_held_out
from model.features.onnx_session import ACTIVATION_MAP, FEATURES, IMAGE, PROBABILITIES
from model.serving.held_out_features import write_held_out
from model.serving.reference_features import build_reference_features

CLASSES = ("red", "green", "blue")
_SIZE = 8
NAME = "colours"


def write_small_model(
    directory: Path,
    classes: tuple[str, str, str] = CLASSES,
    created: str = "2026-01-01T00:00:00Z",
    always: int | None = None,
    learned_colours: np.ndarray | None = None,
) -> None:
    """Write a whole model into a new folder of `models/`.

    Args:
        always: the class that it answers whatever it sees.
        learned_colours: mean colours (n, 3) of the photos that it was made with, every other one held out; None for a
            model without reference features.
    """
    directory.mkdir(parents=True)
    bias = np.zeros(3, np.float32)
    if always is not None:
        bias[always] = 100
    _write_graph(directory / ONNX_MODEL, bias)
    if learned_colours is not None:
        _write_features(directory, learned_colours)
    manifest = Manifest(
        name=directory.name,
        created=created,
        versions={},
        classes=classes,
        backbone="EfficientNetLite0",
        image_size=_SIZE,
        resize="squash",
        scaling="lite",
        train_config={},
        dataset={},
        metrics={"test": {"accuracy": 0.9}},
        temperature=1.0,
        thresholds={},
        engine="onnx",
        parity={},
        files={},
    )
    write_manifest(directory, manifest)


def _write_features(directory: Path, colours: np.ndarray) -> None:
    features = (colours / 16).astype(np.float32)
    learned, held_out = features[::2], features[1::2]
    reference = build_reference_features(learned, learned.argmax(axis=1), [f"{row}.jpg" for row in range(len(learned))])
    reference.save(directory / TRAINING_FEATURES)
    write_held_out(directory / HELD_OUT_FEATURES, describe_held_out(reference, held_out))


def _write_graph(path: Path, bias: np.ndarray) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    scale = numpy_helper.from_array(np.float32(1 / 16), "scale")
    preference = numpy_helper.from_array(bias, "bias")
    axes = numpy_helper.from_array(np.array([1, 2]), "axes")
    nodes = [
        helper.make_node("Cast", [IMAGE], ["colours"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["colours", "scale"], [ACTIVATION_MAP]),
        helper.make_node("ReduceMean", [ACTIVATION_MAP, "axes"], [FEATURES], keepdims=0),
        helper.make_node("Add", [FEATURES, "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [PROBABILITIES]),
    ]
    image = helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["n", _SIZE, _SIZE, 3])
    outputs = [
        helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["n", 3]),
        helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["n", 3]),
        helper.make_tensor_value_info(ACTIVATION_MAP, TensorProto.FLOAT, ["n", _SIZE, _SIZE, 3]),
    ]
    graph = helper.make_graph(nodes, "small", [image], outputs, [scale, axes, preference])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def write_model(directory: Path, **changed: object) -> Bundle:
    """A complete model, with the given changes of its manifest."""
    write_small_model(directory)
    (directory / "dataset_files").mkdir()
    (directory / "dataset_files" / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    counts = {split: dict.fromkeys(CLASSES, number) for split, number in (("train", 30), ("val", 10), ("test", 13))}
    known = {
        "versions": {"topgraft": "0.1.0"},
        "train_config": {"weights": "imagenet"},
        "dataset": {"path": "/data/my photos", "counts": counts, "fingerprint": "0" * 64},
        "metrics": {"test": measured()},
        "thresholds": {"confidence": 0.5},
    }
    write_manifest(directory, dataclasses.replace(open_bundle(directory).manifest, **(known | changed)))
    return open_bundle(directory)


def measured() -> dict[str, object]:
    """Metrics of 40 test photos."""
    rows = [
        {"class": name, "precision": 0.9, "recall": 0.8, "f1": 0.85, "support": support}
        for name, support in zip(CLASSES, (18, 21, 1), strict=True)
    ]
    return {
        "images": 40,
        "accuracy": 0.875,
        "accuracy_interval": [0.739, 0.945],
        "macro_f1": 0.85,
        "macro_f1_interval": [0.71, 0.93],
        "balanced_accuracy": 0.8,
        "calibration_error": 0.024,
        "expected_calibration_error": 0.031,
        "expected_calibration_error_interval": [0.012, 0.064],
        "per_class": rows,
    }
