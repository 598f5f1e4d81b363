"""Writing a fitted classifier as model.keras and model.onnx, and seeing that the two agree."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import onnx

from model import durable
from model.bundle_files import KERAS_MODEL, ONNX_MODEL
from model.dataset.reading import read_sample
from model.features.onnx_session import IMAGE, PROBABILITIES, open_session
from model.networks.network import build_classifier
from model.networks.onnx_export import attach_head
from model.results import InputSpec, Sample
from model.training.classifier import Classifier

PARITY_LIMIT = 1e-4
PARITY_IMAGES = 8

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        engine: `onnx`, or `keras` where ONNX is impossible or does not agree.
        parity: `max_difference` of a probability and the number of `images` it was measured on.
        warnings: why the engine is not ONNX.
        precision: `float32`, or `int8` (`model.export.int8`).
    """

    engine: str
    parity: dict[str, float]
    warnings: tuple[str, ...] = ()
    precision: str = "float32"


def export_classifier(classifier: Classifier, samples: Sequence[Sample], spec: InputSpec, directory: Path) -> Exported:
    """Write the model twice into `directory` and compare the files' answers on real images.

    A model whose ONNX form differs by more than 1e-4 keeps that file out, and is served by Keras.

    Args:
        samples: where the images for the comparison are taken from, evenly.
        spec: the input of the network.
    """
    network = build_classifier(
        classifier.backbone.network(), classifier.kernel, classifier.bias, classifier.temperature
    )
    network.save(directory / KERAS_MODEL)
    if classifier.backbone.graph is None:
        return Exported("keras", {"images": 0}, (f"It is served by Keras: {classifier.backbone.remark}",))
    graph = attach_head(
        onnx.load_from_string(classifier.backbone.graph), classifier.kernel, classifier.bias, classifier.temperature
    )
    durable.write_bytes(directory / ONNX_MODEL, graph.SerializeToString())
    return compare_engines(directory, _images(samples, spec))


def compare_engines(directory: Path, images: np.ndarray) -> Exported:
    """Compare the answers of model.keras and model.onnx in `directory`; remove the latter where it does not agree.

    Args:
        images: uint8 (n, height, width, 3).
    """
    saved = keras.models.load_model(directory / KERAS_MODEL, compile=False, safe_mode=True)
    # Called eagerly it would take half a gigabyte more.
    by_keras = np.asarray(saved.predict_on_batch(images))
    by_onnx = open_session(directory / ONNX_MODEL).run([PROBABILITIES], {IMAGE: images})[0]
    difference = float(np.abs(by_keras - by_onnx).max())
    parity = {"max_difference": difference, "images": len(images)}
    log.info("model.onnx agrees with model.keras to %.1e on %d images", difference, len(images))
    if difference < PARITY_LIMIT:
        return Exported("onnx", parity)
    (directory / ONNX_MODEL).unlink()
    warning = (
        f"model.onnx was left out: expected its probabilities within {PARITY_LIMIT} of model.keras, "
        f"found a difference of {difference:.2g}. It is served by Keras, more slowly."
    )
    log.warning("%s", warning)
    return Exported("keras", parity, (warning,))


def evenly_spread(samples: Sequence[Sample], number: int) -> list[Sample]:
    """At most `number` samples, from the first to the last."""
    positions = np.unique(np.linspace(0, len(samples) - 1, number).astype(int))
    return [samples[position] for position in positions]


def _images(samples: Sequence[Sample], spec: InputSpec) -> np.ndarray:
    return np.stack([read_sample(sample, spec) for sample in evenly_spread(samples, PARITY_IMAGES)])
