"""The network of a run: a pretrained backbone, or that of a trained model."""

import dataclasses
import functools
import hashlib

import numpy as np

from model.backbones import find_backbone
from model.bundle import Bundle
from model.bundle_files import ONNX_MODEL
from model.config import TrainConfig
from model.errors import ConfigError
from model.features.extractor import FeatureExtractor
from model.features.onnx_session import FEATURES, open_session
from model.intensity import FULL, parse_intensity
from model.networks.converted_backbone import converted_backbone
from model.results import InputSpec


@dataclasses.dataclass(frozen=True)
class Network:
    """Network that computes features.

    Attributes:
        name: the backbone, or the model.
        graph: the network in ONNX, with the output `features`.
        spec: its input.
        manifest_sha256: checksum of the manifest of the model; empty for a backbone.
    """

    name: str
    graph: bytes
    spec: InputSpec
    manifest_sha256: str = ""

    @property
    def sha256(self) -> str:
        """Checksum of the graph."""
        return hashlib.sha256(self.graph).hexdigest()

    @property
    def extractor(self) -> FeatureExtractor:
        """Extractor with one thread, for a process of its own."""
        return FeatureExtractor(self.graph, self.spec, threads=1)

    @functools.cached_property
    def features(self) -> int:
        """Number of features of a photo.

        Raises:
            ConfigError: the network has no features.
        """
        if FEATURES not in {output.name for output in open_session(self.graph, 1).get_outputs()}:
            raise ConfigError(f"{self.name}: expected a network with the output {FEATURES!r}. Choose another model.")
        return int(self.extractor(np.zeros((1, *self.spec.shape), np.uint8)).shape[1])


def backbone_network(config: TrainConfig) -> Network:
    """The pretrained backbone of some options: `backbone`, `image_size`, `resize` and `intensity`.

    Raises:
        ConfigError, WeightsError: the backbone cannot be built.
    """
    intensity = parse_intensity(config.intensity)
    # What `auto` finds depends on the training photos, which are not known.
    spec = InputSpec.from_config(config, FULL if intensity == "auto" else intensity)
    backbone = find_backbone(config.backbone)
    return Network(backbone.name, converted_backbone(backbone, spec.height), spec)


def model_network(bundle: Bundle) -> Network:
    """The network of a trained model, without its head.

    Raises:
        ConfigError: the model has no network in ONNX.
        ModelDamagedError: its files have changed.
    """
    if bundle.manifest.engine != "onnx":
        raise ConfigError(
            f"{bundle.name}: expected a model in ONNX; it is served by Keras, because its conversion differed. Use "
            "--backbone instead."
        )
    return Network(bundle.name, bundle.read_file(ONNX_MODEL), bundle.manifest.input_spec, bundle.manifest_sha256)
