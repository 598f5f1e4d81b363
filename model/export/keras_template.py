"""The Keras model of each pretrained backbone, saved once: a head is put into a copy of it, without Keras."""

import dataclasses
import functools
import hashlib
import io
import logging
import zipfile
from pathlib import Path

import numpy as np

from model.backbones import Backbone
from model.bundle_files import KERAS_MODEL
from model.dataset.pipeline import decoded
from model.errors import ExportError
from model.export.comparison_photos import draw_photos
from model.export.keras_file import KerasFile
from model.features.onnx_session import FEATURES
from model.files.arrays import read_arrays
from model.files.checksums import cached_content
from model.networks.converted_backbone import backbone_cache
from model.networks.tensorflow_import import import_tensorflow
from model.provenance import installed_version
from model.reading import describe
from model.results import InputSpec
from model.scratch import scratch_folder

_FORMAT = 2
_IMAGES = 4
_REFERENCE = "reference.npz"
# Between Keras and the reader of its file, for the same features.
_MAX_DIFFERENCE = 1e-6

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class KerasTemplate:
    """The Keras model of a backbone with some head, and what Keras computes with it.

    Attributes:
        file: the model.
        images: uint8 (n, height, width, 3).
        features: of `images` by Keras, float32 (n, features).
    """

    file: KerasFile
    images: np.ndarray
    features: np.ndarray

    @classmethod
    def from_bytes(cls, content: bytes) -> "KerasTemplate":
        """The template that `_make` has written."""
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            reference = archive.read(_REFERENCE)
        arrays = read_arrays(reference, max_bytes=2 * len(reference))
        return cls(KerasFile.read(io.BytesIO(content)), arrays["images"], arrays["features"])


def keras_template(backbone: Backbone, image_size: int, graph: bytes) -> KerasTemplate:
    """The template of a backbone with ImageNet weights, from the cache; made by Keras if it is missing or damaged.

    A template belongs to a version of Keras and to an ONNX graph: it is made again for others.

    Args:
        graph: the backbone in ONNX.

    Raises:
        ExportError: Keras loads another network from a copy of the template than the one described, or its format is
            another one.
    """
    key = f"keras-{installed_version('keras')}-{hashlib.sha256(graph).hexdigest()[:16]}-v{_FORMAT}"
    path = backbone_cache() / f"{backbone.key}-{image_size}-{key}.checked-keras"
    make = functools.partial(_make, backbone, image_size)
    return KerasTemplate.from_bytes(cached_content(path, make, "the Keras model of the backbone"))


def _make(backbone: Backbone, image_size: int) -> bytes:
    """A file .keras with the reference images and features as a further entry."""
    import_tensorflow()
    from model.networks.network import build_classifier
    from model.networks.pretrained import build_backbone

    network = build_backbone(backbone, image_size, "imagenet")
    channels = network.output.shape[-1]
    images = np.stack(list(decoded(draw_photos(_IMAGES), bytes, InputSpec.square(image_size))))
    rng = np.random.default_rng(0)
    kernel, bias = (rng.normal(0, 0.1, shape).astype(np.float32) for shape in ((channels, 3), 3))
    with scratch_folder("template") as folder:
        path = folder / KERAS_MODEL
        build_classifier(network, kernel[:, :2], bias[:2], 1.0).save(path)
        content = path.read_bytes()
        try:
            features = _replace_head(path, kernel, bias, images)
        except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise ExportError(
                f"expected Keras {installed_version('keras')} to write and read the known format, received: "
                f"{describe(error)}"
            ) from error
    log.info("saved %s in the format of Keras", backbone.name)
    return _with_reference(content, images, features)


def _replace_head(path: Path, kernel: np.ndarray, bias: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Features of images by Keras, after the proof that its installed version loads a file with a replaced head.

    Raises:
        ExportError: it loads another head.
        KeyError, TypeError, ValueError, zipfile.BadZipFile: the format is another one.
    """
    import keras

    written = KerasFile.read(path).with_head(kernel, bias, 1.5)
    written.write(path)
    loaded = keras.models.load_model(path, compile=False, safe_mode=True)
    both = keras.Model(loaded.input, [loaded.get_layer(FEATURES).output, loaded.output])
    features, probabilities = (np.asarray(output) for output in both.predict_on_batch(images))
    difference = float(np.abs(written.probabilities(features) - probabilities).max())
    if difference > _MAX_DIFFERENCE:
        raise ExportError(f"expected Keras to load the head that was written, found a difference of {difference:.2g}")
    return features


def _with_reference(content: bytes, images: np.ndarray, features: np.ndarray) -> bytes:
    stream, arrays = io.BytesIO(content), io.BytesIO()
    np.savez(arrays, images=images, features=features)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(_REFERENCE, arrays.getvalue())
    return stream.getvalue()
