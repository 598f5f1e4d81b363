"""The served network in int8, where it answers as well."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import softmax

from model import durable
from model.bundle_files import ONNX_MODEL
from model.dataset.pipeline import decoded_batches
from model.evaluation.unknown import describe_held_out
from model.export.model_files import Exported, evenly_spread
from model.features.onnx_session import FEATURES, IMAGE, open_session
from model.networks.quantization import quantize
from model.results import Dataset, InputSpec, Sample, labels_of
from model.training.classifier import Answers, Classifier
from model.training.head import Head

MOST_ACCURACY_LOST = 0.005
CALIBRATION_IMAGES = 128
_BATCH_SIZE = 32
_CROSS_VALIDATED_IN_FLOAT32 = (
    "the model answers in int8; cross-validation measured it in float32, and its accuracy may differ by a little"
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
    """Put an int8 graph in the place of model.onnx, unless more than half a point of validation accuracy is lost.

    Args:
        exported: what is in `directory`; where that is served by Keras, there is no graph and nothing is changed.
        chosen: the head to measure both graphs with, one that has not learned from `val`: the one in them may have,
            and is then right about these images whatever their features are.
        train: where calibration images are taken from, evenly.
        val: what accuracy is measured on, with both graphs.
        spec: the input of the network.

    Returns:
        `exported`, its parity with `val_accuracy_float32` and `val_accuracy_int8`, and a warning where the int8
        graph was refused.
    """
    if exported.engine != "onnx":
        return _refused(exported, "only a model that ONNX Runtime serves can be")
    graph = directory / ONNX_MODEL
    [images] = decoded_batches(evenly_spread(train, CALIBRATION_IMAGES), spec, CALIBRATION_IMAGES)
    quantized = quantize(graph, images)
    labels = labels_of(val)
    whole, smaller = (
        float((chosen.logits(features).argmax(axis=1) == labels).mean())
        for features in _features((graph, quantized), val, spec)
    )
    measured = {"val_accuracy_float32": whole, "val_accuracy_int8": smaller}
    exported = dataclasses.replace(exported, parity={**exported.parity, **measured})
    log.info("validation accuracy %.4f with float32, %.4f with int8", whole, smaller)
    if whole - smaller > MOST_ACCURACY_LOST:
        return _refused(
            exported,
            f"its accuracy on {len(val)} validation images would be {smaller:.1%} instead of {whole:.1%}, and "
            f"{MOST_ACCURACY_LOST:.1%} at most may be lost",
        )
    durable.write_bytes(graph, quantized)
    return dataclasses.replace(exported, precision="int8")


def as_answered_in_int8(
    classifier: Classifier, dataset: Dataset, spec: InputSpec, seed: int, directory: Path
) -> Classifier:
    """The classifier with what the int8 graph says of validation and test images, and how it sees them.

    Args:
        spec: the input of the network.
        directory: where the int8 graph is.
    """
    samples = dataset.val + dataset.test
    [features] = _features([directory / ONNX_MODEL], samples, spec)
    val, test = np.split(features, [len(dataset.val)])
    answers = {**classifier.answers, "val": _answers(classifier, dataset.val, classifier.chosen.logits(val))}
    if dataset.test:
        answers["test"] = _answers(classifier, dataset.test, test @ classifier.kernel + classifier.bias)
    told = (_CROSS_VALIDATED_IN_FLOAT32,) if "cross_validation" in answers else ()
    return dataclasses.replace(
        classifier,
        answers=answers,
        held_out=describe_held_out(classifier.memory, features, seed),
        warnings=(*classifier.warnings, *told),
    )


def _answers(classifier: Classifier, samples: tuple[Sample, ...], logits: np.ndarray) -> Answers:
    return Answers(samples, softmax(logits / classifier.temperature, axis=-1), softmax(logits, axis=-1))


def _refused(exported: Exported, reason: str) -> Exported:
    warning = f"precision = int8 was refused, and the model answers in float32: {reason}"
    return dataclasses.replace(exported, warnings=(*exported.warnings, warning))


def _features(graphs: Sequence[Path | bytes], samples: Sequence[Sample], spec: InputSpec) -> list[np.ndarray]:
    """What the head of each graph is given: float32 (samples, features)."""
    sessions = [open_session(graph) for graph in graphs]
    found: list[list[np.ndarray]] = [[] for _ in graphs]
    for images in decoded_batches(samples, spec, _BATCH_SIZE):
        for session, rows in zip(sessions, found, strict=True):
            rows.append(session.run([FEATURES], {IMAGE: images})[0])
    return [np.concatenate(rows) for rows in found]
