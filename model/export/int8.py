"""Export of the served network to int8, if its accuracy is as good."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model import durable
from model.bundle_files import ONNX_MODEL
from model.dataset.pipeline import decoded_batches
from model.evaluation.marks import widen_distance
from model.evaluation.unknown import describe_held_out, reference_distances
from model.export.model_files import Exported, evenly_spread
from model.features.onnx_session import FEATURES, IMAGE, open_session
from model.networks.quantization import quantize
from model.results import Dataset, InputSpec, Sample, labels_of
from model.training.classifier import Classifier, Predictions
from model.training.head import Head

MAX_ACCURACY_LOSS = 0.005
CALIBRATION_IMAGES = 128
_BATCH_SIZE = 32
_CROSS_VALIDATED_IN_FLOAT32 = (
    "the served model is int8; cross-validation measured the float32 model, whose accuracy may differ slightly"
)

log = logging.getLogger(__name__)


def export_in_int8(
    exported: Exported,
    chosen: Head,
    train: Sequence[Sample],
    val: Sequence[Sample],
    spec: InputSpec,
    directory: Path,
) -> Exported:
    """Replace model.onnx by an int8 graph, unless validation accuracy drops by more than 0.5 percentage points.

    Args:
        exported: exported files in `directory`; without an ONNX graph nothing is changed.
        chosen: head used to measure both graphs, not trained on `val`. The exported head may have been
            trained on `val` and would then predict these images correctly even with poor features.
        train: samples from which calibration images are taken, evenly spread.
        val: samples on which the accuracy of both graphs is measured.
        spec: input of the network.

    Returns:
        `exported`, with `val_accuracy_float32` and `val_accuracy_int8` in its parity, and a warning if the int8 graph
        was refused.
    """
    if exported.engine != "onnx":
        return _refused(exported, "the model is served by Keras, and only an ONNX graph can be quantized")
    graph = directory / ONNX_MODEL
    [images] = decoded_batches(evenly_spread(train, CALIBRATION_IMAGES), spec, CALIBRATION_IMAGES)
    quantized = quantize(graph, images)
    labels = labels_of(val)
    accuracy_float32, accuracy_int8 = (
        float((chosen.logits(features).argmax(axis=1) == labels).mean())
        for features in _features((graph, quantized), val, spec)
    )
    measured = {"val_accuracy_float32": accuracy_float32, "val_accuracy_int8": accuracy_int8}
    exported = dataclasses.replace(exported, parity={**exported.parity, **measured})
    log.info("validation accuracy %.4f with float32, %.4f with int8", accuracy_float32, accuracy_int8)
    if accuracy_float32 - accuracy_int8 > MAX_ACCURACY_LOSS:
        return _refused(
            exported,
            f"its accuracy on {len(val)} validation images would be {accuracy_int8:.1%} instead of "
            f"{accuracy_float32:.1%}, and at most {MAX_ACCURACY_LOSS:.1%} may be lost",
        )
    durable.write_bytes(graph, quantized)
    return dataclasses.replace(exported, precision="int8")


def as_answered_in_int8(
    classifier: Classifier, dataset: Dataset, spec: InputSpec, seed: int, directory: Path
) -> Classifier:
    """Classifier with the predictions and features of validation and test images computed by the int8 graph.

    Args:
        spec: input of the network.
        directory: folder of the int8 graph.
    """
    samples = dataset.val + dataset.test
    [features] = _features([directory / ONNX_MODEL], samples, spec)
    val, test = np.split(features, [len(dataset.val)])
    val_logits, test_logits = classifier.chosen.logits(val), test @ classifier.kernel + classifier.bias
    distances = reference_distances(classifier.reference, features)
    val_distances, test_distances = np.split(distances, [len(val)])
    temperature = classifier.temperature
    predictions = {
        **classifier.predictions,
        "val": Predictions.from_logits(dataset.val, val_logits, temperature, distances=val_distances),
    }
    if dataset.test:
        predictions["test"] = Predictions.from_logits(dataset.test, test_logits, temperature, distances=test_distances)
    remarks = (_CROSS_VALIDATED_IN_FLOAT32,) if "cross_validation" in predictions else ()
    return dataclasses.replace(
        classifier,
        predictions=predictions,
        thresholds=widen_distance(classifier.thresholds, val_distances),
        held_out=describe_held_out(classifier.reference, features, seed),
        warnings=(*classifier.warnings, *remarks),
    )


def _refused(exported: Exported, reason: str) -> Exported:
    warning = f"precision = int8 was refused, and the served model is float32: {reason}"
    return dataclasses.replace(exported, warnings=(*exported.warnings, warning))


def _features(graphs: Sequence[Path | bytes], samples: Sequence[Sample], spec: InputSpec) -> list[np.ndarray]:
    """Features computed by each graph: float32 (samples, features)."""
    sessions = [open_session(graph) for graph in graphs]
    found: list[list[np.ndarray]] = [[] for _ in graphs]
    for images in decoded_batches(samples, spec, _BATCH_SIZE):
        for session, rows in zip(sessions, found, strict=True):
            rows.append(session.run([FEATURES], {IMAGE: images})[0])
    return [np.concatenate(rows) for rows in found]
