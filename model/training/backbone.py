"""The backbone of a training in the forms that its phases need: Keras network, ONNX graph, feature extractor."""

import dataclasses
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from model.backbones import Backbone
from model.errors import ConfigError, ExportError
from model.features.extractor import Extract, FeatureExtractor
from model.networks.converted_backbone import converted_backbone
from model.networks.tensorflow_import import import_tensorflow
from model.results import InputSpec

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class UsedBackbone:
    """The backbone of a classifier.

    Attributes:
        network: returns it as a Keras model from uint8 images to a feature map.
        graph: it as a serialised ONNX graph; None if it cannot be converted.
        extract: from images to features, by the fastest engine.
        remark: reason why there is no graph; empty otherwise.
        pretrained: the backbone if it has its pretrained weights, and None if they were trained further.
    """

    network: Callable[[], "keras.Model"]
    graph: bytes | None
    extract: Extract
    remark: str = ""
    pretrained: Backbone | None = None


def pretrained_backbone(backbone: Backbone, spec: InputSpec) -> UsedBackbone:
    """A backbone with its pretrained weights, converted to ONNX if possible.

    Raises:
        WeightsError, ConfigError: the backbone cannot be built.
    """

    def build() -> "keras.Model":
        if backbone.is_in_onnx:
            raise ConfigError(f"{backbone.name}: expected a network in Keras to train, found one in ONNX")
        import_tensorflow()
        from model.networks.pretrained import build_backbone

        return build_backbone(backbone, spec.height, "imagenet")

    try:
        graph = converted_backbone(backbone, spec.height)
    except ExportError as error:
        return _without_graph(build(), error)
    return UsedBackbone(build, graph, FeatureExtractor(graph, spec), pretrained=backbone)


def tuned_backbone(network: "keras.Model", spec: InputSpec) -> UsedBackbone:
    """A fine-tuned network, converted to ONNX if possible."""
    from model.networks.onnx_export import convert_backbone

    try:
        graph = convert_backbone(network).SerializeToString()
    except ExportError as error:
        return _without_graph(network, error)
    return UsedBackbone(lambda: network, graph, FeatureExtractor(graph, spec))


def _without_graph(network: "keras.Model", reason: ExportError) -> UsedBackbone:
    log.warning("%s", reason)

    def extract(images: np.ndarray) -> np.ndarray:
        return np.asarray(network.predict_on_batch(images)).mean(axis=(1, 2))

    return UsedBackbone(lambda: network, None, extract, reason.message)
