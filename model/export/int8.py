"""Export of the served network to int8, if its accuracy is as good."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model import durable
from model.bundle_files import ONNX_MODEL
from model.dataset.rereading import PhotoReader
from model.evaluation.marks import widen_distance
from model.evaluation.unknown import describe_held_out, reference_distances
from model.export.model_files import Exported
from model.features.onnx_session import FEATURES, open_session, run_each
from model.networks.quantization import quantize
from model.results import Dataset, InputSpec, Sample, labels_of
from model.training.classifier import Classifier, Predictions
from model.training.head_candidates import Head

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
    photos: PhotoReader,
) -> Exported:
    """Replace model.onnx by an int8 graph, unless validation accuracy drops by more than 0.5 percentage points.

    Args:
        exported: exported files in `directory`; without an ONNX graph nothing is changed.
        chosen: head used to measure both graphs, not trained on `val`. The exported head may have been
            trained on `val` and would then predict these images correctly even with poor features.
        train: samples from which calibration images are taken, evenly spread.
        val: samples on which the accuracy of both graphs is measured.
        spec: input of the network.
        photos: reads the images; those that it leaves out are neither calibrated nor measured on.

    Returns:
        `exported`, with `val_accuracy_float32` and `val_accuracy_int8` in its parity, and a warning if the int8 graph
        was refused.
    """
    if exported.engine != "onnx":
        return _refused(exported, "the model is served by Keras, and only an ONNX graph can be quantized")
    graph = directory / ONNX_MODEL
    images = photos.some(train, CALIBRATION_IMAGES, spec)
    if not len(images):
        return _refused(exported, "no training image can be read any longer to calibrate it")
    quantized = quantize(graph, images)
    measured_on, by_both = _features((graph, quantized), val, spec, photos)
    if not measured_on:
        return _refused(exported, "no validation image can be read any longer to measure its accuracy")
    labels = labels_of(measured_on)
    accuracy_float32, accuracy_int8 = (
        float((chosen.logits(features).argmax(axis=1) == labels).mean()) for features in by_both
    )
    measured = {"val_accuracy_float32": accuracy_float32, "val_accuracy_int8": accuracy_int8}
    exported = dataclasses.replace(exported, parity={**exported.parity, **measured})
    log.info("validation accuracy %.4f with float32, %.4f with int8", accuracy_float32, accuracy_int8)
    if accuracy_float32 - accuracy_int8 > MAX_ACCURACY_LOSS:
        return _refused(
            exported,
            f"its accuracy on {len(measured_on)} validation images would be {accuracy_int8:.1%} instead of "
            f"{accuracy_float32:.1%}, and at most {MAX_ACCURACY_LOSS:.1%} may be lost",
        )
    durable.write_bytes(graph, quantized)
    return dataclasses.replace(exported, precision="int8")


def as_answered_in_int8(
    classifier: Classifier, dataset: Dataset, spec: InputSpec, seed: int, directory: Path, photos: PhotoReader
) -> Classifier:
    """Classifier with the predictions and features of validation and test images computed by the int8 graph.

    Args:
        spec: input of the network.
        directory: folder of the int8 graph.
        photos: reads the images; those that it leaves out have no prediction.
    """
    read, [features] = _features([directory / ONNX_MODEL], dataset.val + dataset.test, spec, photos)
    of_val = {sample.name for sample in dataset.val}
    size = sum(sample.name in of_val for sample in read)
    val_samples, test_samples = read[:size], read[size:]
    if not val_samples or (dataset.test and not test_samples):
        warnings = photos.warnings("the predictions of the report are those of the float32 model")
        return dataclasses.replace(classifier, warnings=(*classifier.warnings, *warnings))
    val, test = np.split(features, [size])
    val_logits, test_logits = classifier.chosen.logits(val), test @ classifier.kernel + classifier.bias
    distances = reference_distances(classifier.reference, features)
    val_distances, test_distances = np.split(distances, [len(val)])
    temperature = classifier.temperature
    predictions = {
        **classifier.predictions,
        "val": Predictions.from_logits(val_samples, val_logits, temperature, distances=val_distances),
    }
    if dataset.test:
        predictions["test"] = Predictions.from_logits(test_samples, test_logits, temperature, distances=test_distances)
    remarks = (_CROSS_VALIDATED_IN_FLOAT32,) if "cross_validation" in predictions else ()
    return dataclasses.replace(
        classifier,
        predictions=predictions,
        thresholds=widen_distance(classifier.thresholds, val_distances),
        held_out=describe_held_out(classifier.reference, features, seed),
        warnings=(*classifier.warnings, *remarks, *photos.warnings("they are in no measurement of the int8 model")),
    )


def _refused(exported: Exported, reason: str) -> Exported:
    warning = f"precision = int8 was refused, and the served model is float32: {reason}"
    return dataclasses.replace(exported, warnings=(*exported.warnings, warning))


def _features(
    graphs: Sequence[Path | bytes], samples: Sequence[Sample], spec: InputSpec, photos: PhotoReader
) -> tuple[tuple[Sample, ...], list[np.ndarray]]:
    """The samples that can be read, and their features by each graph: float32 (samples read, features)."""
    sessions = [open_session(graph, threads=1) for graph in graphs]
    read: list[Sample] = []
    found: list[list[np.ndarray]] = [[] for _ in graphs]
    for batch, images in photos.batches(samples, spec, _BATCH_SIZE):
        read += batch
        for session, rows in zip(sessions, found, strict=True):
            rows.append(run_each(session, [FEATURES], images, threads=None)[0])
    return tuple(read), [np.concatenate(rows) if rows else np.empty((0, 0), np.float32) for rows in found]
