"""Export of a fitted classifier to model.keras and model.onnx, with a parity check of the two."""

import dataclasses
import functools
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from scipy.special import softmax

from model import durable
from model.bundle_files import KERAS_MODEL, ONNX_MODEL
from model.dataset.pipeline import decoded
from model.dataset.rereading import PhotoReader
from model.errors import ExportError
from model.export.comparison_photos import draw_photos
from model.export.keras_file import KerasFile
from model.export.keras_template import KerasTemplate, keras_template
from model.features.onnx_session import FEATURES, IMAGE, PROBABILITIES, open_session, run_each
from model.networks.onnx_head import attach_head
from model.networks.tensorflow_import import import_tensorflow
from model.results import InputSpec, Sample
from model.training.classifier import Classifier

PARITY_LIMIT = 1e-4
PARITY_IMAGES = 8

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Exported:
    """Result of an export.

    Attributes:
        engine: `onnx`, or `keras` if the network cannot be converted or the parity check failed.
        parity: `max_difference` of a probability, and the number of `images` it was measured on.
        warnings: reasons why the engine is not ONNX.
        precision: `float32`, or `int8` (`model.export.int8`).
    """

    engine: str
    parity: dict[str, float]
    warnings: tuple[str, ...] = ()
    precision: str = "float32"


def export_classifier(classifier: Classifier, samples: Sequence[Sample], spec: InputSpec, directory: Path) -> Exported:
    """Write model.keras and model.onnx into `directory` and compare their probabilities on real images.

    If they differ by 1e-4 or more, model.onnx is removed and the model is served by Keras. With a pretrained backbone
    that stayed frozen, Keras is not loaded: see `model.export.keras_template`. With a backbone that was added in ONNX
    there is no model.keras, and model.onnx is compared with the head as it was trained.

    Args:
        samples: samples from which the images of the comparison are taken, evenly spread.
        spec: input of the network.
    """
    pretrained = classifier.backbone.pretrained
    if pretrained is not None and pretrained.is_in_onnx:
        return _export_in_onnx(classifier, samples, spec, directory)
    template = _template(classifier, spec)
    if template is None:
        _write_by_keras(classifier, directory)
    else:
        head = classifier.kernel, classifier.bias, classifier.temperature
        template.file.with_head(*head).write(directory / KERAS_MODEL)
    if classifier.backbone.graph is None:
        return Exported("keras", {"images": 0}, (f"It is served by Keras: {classifier.backbone.remark}",))
    _write_onnx(classifier, classifier.backbone.graph, directory)
    images, warnings = _comparison_images(samples, spec)
    compare = compare_engines if template is None else functools.partial(_compare_by_template, template)
    exported = compare(directory, images)
    return dataclasses.replace(exported, warnings=(*exported.warnings, *warnings))


def _write_onnx(classifier: Classifier, graph: bytes, directory: Path) -> None:
    model = attach_head(onnx.load_from_string(graph), classifier.kernel, classifier.bias, classifier.temperature)
    durable.write_bytes(directory / ONNX_MODEL, model.SerializeToString())


def _export_in_onnx(classifier: Classifier, samples: Sequence[Sample], spec: InputSpec, directory: Path) -> Exported:
    """Write model.onnx and compare its probabilities with those of the head in NumPy, on the same features.

    Raises:
        ExportError: they differ by 1e-4 or more.
    """
    if classifier.backbone.graph is None:
        raise AssertionError("a backbone that was added is in ONNX")
    _write_onnx(classifier, classifier.backbone.graph, directory)
    images, warnings = _comparison_images(samples, spec)
    by_onnx, features = run_each(open_session(directory / ONNX_MODEL), [PROBABILITIES, FEATURES], images, threads=1)
    logits = (features.astype(np.float64) @ classifier.kernel + classifier.bias) / classifier.temperature
    difference = float(np.abs(softmax(logits, axis=1) - by_onnx).max())
    if difference >= PARITY_LIMIT:
        raise ExportError(
            f"{directory / ONNX_MODEL}: expected probabilities within {PARITY_LIMIT} of the trained head, found a "
            f"difference of {difference:.2g}"
        )
    return Exported("onnx", {"max_difference": difference, "images": len(images)}, warnings)


def _template(classifier: Classifier, spec: InputSpec) -> KerasTemplate | None:
    """Template of the Keras model; None if Keras has to write it."""
    backbone = classifier.backbone
    if backbone.pretrained is None or backbone.graph is None:
        return None
    try:
        return keras_template(backbone.pretrained, spec.height, backbone.graph)
    except ExportError as error:
        log.warning("Keras writes the model, which takes more time and memory: %s", error)
        return None


def _write_by_keras(classifier: Classifier, directory: Path) -> None:
    import_tensorflow()
    from model.networks.network import build_classifier

    network = build_classifier(
        classifier.backbone.network(), classifier.kernel, classifier.bias, classifier.temperature
    )
    network.save(directory / KERAS_MODEL)


def compare_engines(directory: Path, images: np.ndarray) -> Exported:
    """Compare the probabilities of model.keras and model.onnx in `directory`; remove model.onnx if they differ.

    Args:
        images: uint8 (n, height, width, 3).
    """
    import keras

    saved = keras.models.load_model(directory / KERAS_MODEL, compile=False, safe_mode=True)
    # Called eagerly it would take half a gigabyte more.
    by_keras = np.asarray(saved.predict_on_batch(images))
    by_onnx = open_session(directory / ONNX_MODEL).run([PROBABILITIES], {IMAGE: images})[0]
    return _judge(directory, float(np.abs(by_keras - by_onnx).max()), len(images))


def _compare_by_template(template: KerasTemplate, directory: Path, images: np.ndarray) -> Exported:
    """Compare as `compare_engines` does, with the features that Keras computed of the images of the template.

    The backbone in model.keras must be that of the template. Its head is applied by NumPy: to the features of the
    template, and to those of `images` by ONNX Runtime.

    Raises:
        ExportError: model.keras is not what was written.
    """
    saved = KerasFile.read(directory / KERAS_MODEL)
    if saved.backbone_digest() != template.file.backbone_digest():
        raise ExportError(
            f"{directory / KERAS_MODEL}: expected the backbone that was written, found another one. Check the disk, "
            "and train again."
        )
    session = open_session(directory / ONNX_MODEL)
    by_onnx, features = session.run([PROBABILITIES, FEATURES], {IMAGE: images})
    reference = session.run([PROBABILITIES], {IMAGE: template.images})[0]
    differences = (saved.probabilities(features) - by_onnx, saved.probabilities(template.features) - reference)
    return _judge(directory, max(float(np.abs(found).max()) for found in differences), len(images))


def _judge(directory: Path, difference: float, images: int) -> Exported:
    """Keep model.onnx if its probabilities differ by less than 1e-4; remove it otherwise."""
    parity = {"max_difference": difference, "images": images}
    log.info("model.onnx agrees with model.keras to %.1e on %d images", difference, images)
    if difference < PARITY_LIMIT:
        return Exported("onnx", parity)
    (directory / ONNX_MODEL).unlink()
    warning = (
        f"model.onnx was not kept: expected its probabilities within {PARITY_LIMIT} of model.keras, "
        f"found a difference of {difference:.2g}. The model is served by Keras, which is slower."
    )
    log.warning("%s", warning)
    return Exported("keras", parity, (warning,))


def _comparison_images(samples: Sequence[Sample], spec: InputSpec) -> tuple[np.ndarray, tuple[str, ...]]:
    """Images uint8 (n, height, width, 3) of photos, or synthetic ones if none can be read, and warnings about that."""
    photos = PhotoReader()
    images = photos.some(samples, PARITY_IMAGES, spec)
    if len(images):
        return images, photos.warnings("model.onnx was compared with model.keras on other photos")
    images = np.stack(list(decoded(draw_photos(PARITY_IMAGES), bytes, spec)))
    return images, photos.warnings("model.onnx was compared with model.keras on synthetic photos")
