"""The file model.keras of a classifier with a frozen backbone, written and read without Keras.

Such a file is a zip of a configuration, metadata and weights in HDF5. Two classifiers with the same backbone differ in
three layers of the configuration, `head`, `temperature` and `probabilities`, and in two arrays of the weights.
"""

import copy
import dataclasses
import datetime
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from scipy.special import softmax

from model import durable
from model.errors import ExportError
from model.features.onnx_session import PROBABILITIES
from model.reading import parse_json
from model.serving.keras_engine import HEAD, TEMPERATURE

_CONFIGURATION = "config.json"
_METADATA = "metadata.json"
_WEIGHTS = "model.weights.h5"
_SHAPES = ("shape", "input_shape")


@dataclasses.dataclass(frozen=True)
class KerasFile:
    """A classifier in the format of Keras.

    Attributes:
        configuration: of the network, as Keras writes it.
        metadata: version of Keras, and time of writing.
        weights: content of an HDF5 file.
    """

    configuration: dict[str, Any]
    metadata: dict[str, Any]
    weights: bytes

    @classmethod
    def read(cls, source: Path | IO[bytes]) -> "KerasFile":
        """Read a file that Keras, or `write`, has written."""
        with zipfile.ZipFile(source) as archive:
            configuration, metadata = (parse_json(archive.read(name)) for name in (_CONFIGURATION, _METADATA))
            return cls(configuration, metadata, archive.read(_WEIGHTS))

    def write(self, path: Path) -> None:
        """Write the file with the present time."""
        now = datetime.datetime.now(datetime.timezone.utc)
        metadata = self.metadata | {"date_saved": f"{now:%Y-%m-%d@%H:%M:%S}"}
        # Keras does not compress: weights are hardly any smaller.
        entries: dict[str, str | bytes] = {
            _METADATA: json.dumps(metadata),
            _CONFIGURATION: json.dumps(self.configuration),
            _WEIGHTS: self.weights,
        }

        def write(stream: IO[bytes]) -> None:
            with zipfile.ZipFile(stream, "w") as archive:
                for name, content in entries.items():
                    archive.writestr(name, content)

        durable.replace_file(path, write)

    def with_head(self, kernel: np.ndarray, bias: np.ndarray, temperature: float) -> "KerasFile":
        """A copy with another head, for any number of classes.

        Args:
            kernel: float32 (features, classes).
            bias: float32 (classes,).
            temperature: divides the logits before softmax, above 0.

        Raises:
            ExportError: this is not the file of a classifier of `model.networks.network.build_classifier`.
        """
        configuration = copy.deepcopy(self.configuration)
        layers = _layers(configuration)
        layers[HEAD]["config"]["units"] = kernel.shape[1]
        layers[TEMPERATURE]["config"]["scale"] = 1 / temperature
        for name in (TEMPERATURE, PROBABILITIES):
            _set_shapes(layers[name], [None, kernel.shape[1]])
        stream = io.BytesIO(self.weights)
        with h5py.File(stream, "r+") as file:
            variables = _head_variables(file)
            for number, values in enumerate((kernel, bias)):
                del variables[str(number)]
                variables[str(number)] = np.asarray(values, np.float32)
        return KerasFile(configuration, self.metadata, stream.getvalue())

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Output of the layers after the backbone, by NumPy: float32 (n, classes).

        Args:
            features: float32 (n, features).

        Raises:
            ExportError: the head is not a linear layer of the stated size.
        """
        layers = _layers(self.configuration)
        head, rescaling = layers[HEAD]["config"], layers[TEMPERATURE]["config"]
        with h5py.File(io.BytesIO(self.weights), "r") as file:
            kernel, bias = (np.asarray(_head_variables(file)[number]) for number in ("0", "1"))
        expected = {"units": kernel.shape[1], "activation": "linear", "use_bias": True}
        found = {name: head.get(name) for name in expected}
        if found != expected:
            raise ExportError(f"expected the head {expected} in the Keras model, found {found}")
        logits = (features @ kernel + bias) * np.float32(rescaling["scale"]) + np.float32(rescaling["offset"])
        probabilities: np.ndarray = softmax(logits, axis=-1)
        return probabilities

    def backbone_digest(self) -> str:
        """SHA-256 of the configuration and the weights of all layers but those after the backbone, in hexadecimal."""
        last = (HEAD, TEMPERATURE, PROBABILITIES)
        backbone = [layer for layer in self.configuration["config"]["layers"] if layer["name"] not in last]
        digest = hashlib.sha256(json.dumps(backbone, sort_keys=True).encode())
        with h5py.File(io.BytesIO(self.weights), "r") as file:
            head = _head_variables(file).name
            for name, array in _arrays(file):
                if not f"/{name}".startswith(f"{head}/"):
                    digest.update(f"{name} {array.shape} {array.dtype}".encode())
                    digest.update(array.tobytes())
        return digest.hexdigest()


def _layers(configuration: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Layers after the backbone, by name."""
    layers = {layer["name"]: layer for layer in configuration["config"]["layers"]}
    missing = [name for name in (HEAD, TEMPERATURE, PROBABILITIES) if name not in layers]
    if missing:
        raise ExportError(f"expected the layers {', '.join(missing)} in the Keras model, found none")
    return layers


def _set_shapes(description: Any, shape: list[int | None]) -> None:
    """Replace the shape of each input in the description of a layer."""
    items = description.values() if isinstance(description, dict) else description
    if isinstance(description, dict):
        description.update({name: shape for name in _SHAPES if name in description})
    for item in items:
        if isinstance(item, (dict, list)):
            _set_shapes(item, shape)


def _head_variables(file: h5py.File) -> h5py.Group:
    """Group of the kernel `0` and the bias `1` of the head."""
    for group in file["layers"].values():
        if group["vars"].attrs.get("name") == HEAD:
            return group["vars"]
    raise ExportError(f"expected the weights of the layer {HEAD} in the Keras model, found none")


def _arrays(file: h5py.File) -> Iterator[tuple[str, np.ndarray]]:
    """Paths and values of all arrays, in the order of their paths."""
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    for name in sorted(names):
        yield name, np.asarray(file[name])
