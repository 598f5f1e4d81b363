"""The served network in int8, where it answers as well."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from model import durable
from model.bundle import ONNX_MODEL
from model.dataset.labels import labels_of
from model.evaluation.unknown import describe_held_out
from model.results import Sample
from model.serving.graph import FEATURES, IMAGE, PROBABILITIES, open_session
from model.serving.training_features import TrainingFeatures
from model.training.export import Exported, evenly_spread
from model.training.features import decoded_batches
from model.training.networks.quantization import quantize
from model.usage.held_out import MOST_IMAGES

MOST_ACCURACY_LOST = 0.005
CALIBRATION_IMAGES = 128
_BATCH_SIZE = 32

log = logging.getLogger(__name__)


def export_in_int8(
    exported: Exported,
    train: Sequence[Sample],
    val: Sequence[Sample],
    size: tuple[int, int],
    resize: str,
    directory: Path,
) -> Exported:
    """Put an int8 graph in the place of model.onnx, unless more than half a point of validation accuracy is lost.

    Args:
        exported: what is in `directory`; where that is served by Keras, there is no graph and nothing is changed.
        train: where calibration images are taken from, evenly.
        val: what accuracy is measured on, with both graphs.
        size: (height, width) of the network's input.

    Returns:
        `exported`, its parity with `val_accuracy_float32` and `val_accuracy_int8`, and a warning where the int8
        graph was refused.
    """
    if exported.engine != "onnx":
        return _refused(exported, "only a model that ONNX Runtime serves can be")
    graph = directory / ONNX_MODEL
    [images] = decoded_batches(evenly_spread(train, CALIBRATION_IMAGES), size, resize, CALIBRATION_IMAGES)
    quantized = quantize(graph, images)
    whole, smaller = _correct((graph, quantized), val, size, resize).mean(axis=0)
    measured = {"val_accuracy_float32": float(whole), "val_accuracy_int8": float(smaller)}
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


def held_out_in_int8(
    directory: Path, memory: TrainingFeatures, samples: Sequence[Sample], size: tuple[int, int], resize: str
) -> np.ndarray:
    """What held-out images are like to the int8 network, whose features differ a little from those in float32.

    Args:
        directory: where the int8 graph is.
        samples: held-out images; of more than `MOST_IMAGES`, some are chosen.

    Returns:
        As `model.evaluation.unknown.describe_held_out`.
    """
    session = open_session(directory / ONNX_MODEL)
    batches = decoded_batches(evenly_spread(samples, MOST_IMAGES), size, resize, _BATCH_SIZE)
    return describe_held_out(memory, np.concatenate([session.run([FEATURES], {IMAGE: batch})[0] for batch in batches]))


def _refused(exported: Exported, reason: str) -> Exported:
    warning = f"precision = int8 was refused, and the model answers in float32: {reason}"
    return dataclasses.replace(exported, warnings=(*exported.warnings, warning))


def _correct(
    graphs: Sequence[Path | bytes], samples: Sequence[Sample], size: tuple[int, int], resize: str
) -> np.ndarray:
    """Which answers of each graph are right: bool (samples, graphs)."""
    sessions = [open_session(graph) for graph in graphs]

    def answers() -> Iterator[np.ndarray]:
        for images in decoded_batches(samples, size, resize, _BATCH_SIZE):
            given = [session.run([PROBABILITIES], {IMAGE: images})[0].argmax(axis=1) for session in sessions]
            yield np.stack(given, axis=1)

    return np.concatenate(list(answers())) == labels_of(samples)[:, None]
