"""Conversion of a model trained by imgclas: the same network with its preprocessing, as a Topgraft model.

imgclas puts a dense ReLU layer between the pooled features and the classes. The gradient of a class's
logit with respect to the feature map is then the product of the two kernels over the units that the
image activates, the same at each position. So Grad-CAM (Selvaraju et al., 2017) needs no backward pass:
the activation map is the feature map times the first kernel, without the units that are off, times
the second kernel.
"""

import dataclasses
import logging
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from PIL import Image

from model import bundle as bundles
from model import bundle_files, durable
from model.bundle import Manifest
from model.dataset.listing import DATASET_FILES
from model.dataset.lists import write_classes
from model.errors import ExportError, ModelError
from model.export.model_files import PARITY_LIMIT, Exported, compare_engines
from model.features.onnx_session import FEATURES, PROBABILITIES
from model.importing.imgclas import (
    Preprocessing,
    TrainedFolder,
)
from model.importing.imported import Imported
from model.importing.untrusted_keras import load_untrusted_network
from model.measurements import wilson_interval
from model.networks.onnx_export import convert_backbone
from model.networks.onnx_head import DenseLayer, attach_head, attach_hidden_layer
from model.provenance import installed_versions, utc_now
from model.publishing.card import model_card
from model.serving.keras_engine import HEAD
from model.training.epochs import COLUMNS

_CELLS_OF_TEST_IMAGES = (2, 3, 5, 8, 16, 64)

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ImportedNetwork:
    """Imported network, divided into backbone, hidden layers and head.

    Attributes:
        backbone: from uint8 images (n, size, size, 3) to a feature map; includes the preprocessing.
        hidden: dense layers between the pooled features and the head.
        head: last dense layer, whose outputs are the logits.
    """

    backbone: keras.Model
    hidden: tuple[DenseLayer, ...]
    head: DenseLayer


def import_imgclas(source: Path, folder: TrainedFolder, name: str, destination: Path, work: Path) -> Imported:
    """Convert a model trained by imgclas to a Topgraft model with the same predictions.

    Args:
        source: path of the model, as given by the user.
        folder: description of the trained model.
        name: name of the new model.
        destination: folder of the new model; must not exist.
        work: empty folder for temporary files.

    Raises:
        ModelError: the network cannot be converted, or its predictions differ from the original ones.
    """
    return _Import(source, folder, name, destination, work).run()


class _Import:
    """Steps of one conversion, in their order."""

    def __init__(self, source: Path, folder: TrainedFolder, name: str, bundle: Path, work: Path) -> None:
        self.source, self.folder, self.name = source, folder, name
        self.bundle, self.work = bundle, work
        self.started = utc_now()

    def run(self) -> Imported:
        """Load, rebuild, compare and export the network; write the manifest last."""
        self.bundle.mkdir()
        original = load_untrusted_network(self.folder.checkpoint, self.work)
        parts = take_apart(original, self.folder)
        network = build_network(parts)
        images = _test_images(self.folder.image_size)
        difference = self.compare_with_original(original, network, images)
        exported = self.export(parts, network, images)
        self.write_dataset_files()
        self.write_history()
        described = self.manifest(exported, difference)
        durable.write_text(self.bundle / bundle_files.MODEL_CARD, model_card(described))
        manifest = bundles.write_manifest(self.bundle, described)
        return Imported(manifest, difference, (*self.folder.warnings, *exported.warnings))

    def compare_with_original(self, original: keras.Model, network: keras.Model, images: np.ndarray) -> float:
        """Largest difference between the probabilities of the new network and of the original one."""
        expected = np.asarray(original.predict_on_batch(self.folder.preprocessing.apply(images)))
        difference = float(np.abs(np.asarray(network.predict_on_batch(images)) - expected).max())
        if not difference < PARITY_LIMIT:
            raise ModelError(
                f"{self.folder.checkpoint}: expected the imported network within {PARITY_LIMIT} of the original, found "
                f"a difference of {difference:.2g}. Most likely its layers are not connected as imgclas connects them"
            )
        log.info("the imported network agrees with the original to %.1e on %d images", difference, len(images))
        return difference

    def export(self, parts: ImportedNetwork, network: keras.Model, images: np.ndarray) -> Exported:
        """Write model.keras and model.onnx, and compare their predictions."""
        network.save(self.bundle / bundle_files.KERAS_MODEL)
        try:
            graph = convert_backbone(parts.backbone)
        except ExportError as error:
            return Exported("keras", {"images": 0}, (f"It is served by Keras: {error.message}",))
        for layer in parts.hidden:
            graph = attach_hidden_layer(graph, layer)
        graph = attach_head(graph, parts.head.kernel, parts.head.bias, temperature=1.0)
        durable.write_bytes(self.bundle / bundle_files.ONNX_MODEL, graph.SerializeToString())
        return compare_engines(self.bundle, images)

    def write_dataset_files(self) -> None:
        """Write classes.txt and copy the lists of the splits that could be read."""
        directory = self.bundle / bundle_files.DATASET_FILES
        write_classes(directory, self.folder.classes)
        for split in self.folder.counts:
            path = self.folder.directory / DATASET_FILES / f"{split}.txt"
            shutil.copyfile(path, directory / path.name)

    def write_history(self) -> None:
        """Write results.csv with the epochs of stats.json."""
        header = COLUMNS
        columns = {
            "loss": self.folder.stats.get("loss"),
            "accuracy": _first_of(self.folder.stats, "accuracy", "acc"),
            "val_loss": self.folder.stats.get("val_loss"),
            "val_accuracy": _first_of(self.folder.stats, "val_accuracy", "val_acc"),
            "learning_rate": _first_of(self.folder.stats, "lr", "learning_rate"),
        }
        epochs = max((len(values) for values in columns.values() if values), default=0)
        if epochs:
            rows = [
                {"phase": "imgclas", "epoch": epoch + 1}
                | {name: values[epoch] for name, values in columns.items() if values and epoch < len(values)}
                for epoch in range(epochs)
            ]
            durable.write_csv(
                self.bundle / bundle_files.RESULTS, header, [[row.get(name, "") for name in header] for row in rows]
            )

    def manifest(self, exported: Exported, difference: float) -> Manifest:
        """Manifest of the new model, with its origin under `train_config["imported"]`."""
        folder = self.folder
        imported = {
            "module": "imgclas",
            "path": str(self.source.absolute()),
            "checkpoint": folder.checkpoint.relative_to(folder.directory).as_posix(),
            "sha256": bundles.file_record(folder.checkpoint).sha256,
            "imported": self.started,
            "max_difference_to_original": difference,
            "preprocessing": dataclasses.asdict(folder.preprocessing),
        }
        return Manifest(
            name=self.name,
            created=folder.started or self.started,
            versions=installed_versions(),
            classes=folder.classes,
            backbone=folder.backbone,
            image_size=folder.image_size,
            resize="squash",
            scaling=folder.preprocessing.mode,
            train_config={"imported": imported, "conf": folder.conf},
            dataset={"layout": "imported from imgclas", "counts": folder.counts},
            metrics=_metrics(folder),
            temperature=1.0,
            thresholds={},
            engine=exported.engine,
            parity=exported.parity,
            files={},
        )


def take_apart(original: keras.Model, folder: TrainedFolder) -> ImportedNetwork:
    """Divide a network into backbone and dense layers, and put the preprocessing in front of the backbone.

    Raises:
        ModelError: the network is not a backbone, GlobalAveragePooling2D, dense layers and softmax, or its image size
            or number of classes differs from conf.json and classes.txt.
    """
    _check_ends(original, folder)
    pooling, tail = _split_at_pooling(original, folder)
    dense = _dense_layers(tail, folder)
    body = keras.Model(original.input, pooling.input)
    body.name = re.sub(r"\W", "_", folder.backbone) or "backbone"
    pixels = keras.Input((folder.image_size, folder.image_size, 3), dtype="uint8", name="image")
    feature_map = body(preprocess(pixels, folder.preprocessing))
    backbone = keras.Model(pixels, feature_map, name=f"{body.name}_from_pixels")
    return ImportedNetwork(backbone, tuple(dense[:-1]), dense[-1])


def preprocess(pixels: keras.KerasTensor, preprocessing: Preprocessing) -> keras.KerasTensor:
    """Preprocessing as built-in layers: from uint8 RGB (n, height, width, 3) to the input of the network."""
    mean = np.array(preprocessing.mean)
    if preprocessing.mode == "caffe":
        centred = layers.Rescaling(1.0, (-mean).tolist(), name="centring", dtype="float32")(pixels)
        swap = layers.Conv2D(3, 1, use_bias=False, trainable=False, name="rgb_to_bgr", dtype="float32")
        swapped = swap(centred)
        swap.set_weights([np.eye(3, dtype="float32")[::-1].reshape(1, 1, 3, 3)])
        return swapped
    divisor = np.full(3, 127.5) if preprocessing.mode == "tf" else np.array(preprocessing.deviation)
    scale, offset = (1 / divisor).tolist(), (-mean / divisor).tolist()
    return layers.Rescaling(scale, offset, name="scaling", dtype="float32")(pixels)


def build_network(parts: ImportedNetwork) -> keras.Model:
    """Complete network of built-in Keras layers, from uint8 images to float32 probabilities.

    The output of the last hidden layer is named `features`, like the input of the head in models trained here.
    """
    value = layers.GlobalAveragePooling2D(name="pooling" if parts.hidden else FEATURES, dtype="float32")(
        parts.backbone.output
    )
    last = len(parts.hidden) - 1
    for position, layer in enumerate(parts.hidden):
        name = FEATURES if position == last else f"hidden_{position + 1}"
        value = _dense(layer, name, layer.activation, value)
    logits = _dense(parts.head, HEAD, "linear", value)
    probabilities = layers.Softmax(name=PROBABILITIES, dtype="float32")(logits)
    return keras.Model(parts.backbone.input, probabilities, name=f"{parts.backbone.name}_classifier")


def _dense(layer: DenseLayer, name: str, activation: str, value: keras.KerasTensor) -> keras.KerasTensor:
    dense = layers.Dense(layer.kernel.shape[1], activation, name=name, dtype="float32")
    output = dense(value)
    dense.set_weights([layer.kernel, layer.bias])
    return output


def _check_ends(original: keras.Model, folder: TrainedFolder) -> None:
    checkpoint, size, classes = folder.checkpoint, folder.image_size, len(folder.classes)
    if len(original.inputs) != 1 or len(original.outputs) != 1:
        raise ModelError(
            f"{checkpoint}: expected a network with one input and one output, found {len(original.inputs)} and "
            f"{len(original.outputs)}"
        )
    shape = tuple(original.inputs[0].shape[1:])
    expected_shape = (size, size, 3)
    if len(shape) != 3 or any(
        found not in (None, expected) for found, expected in zip(shape, expected_shape, strict=True)
    ):
        raise ModelError(
            f"{checkpoint}: expected images of {size} by {size} pixels and 3 channels as conf.json says, found a "
            f"network for inputs {shape}"
        )
    if tuple(original.outputs[0].shape[1:]) != (classes,):
        raise ModelError(
            f"{checkpoint}: expected probabilities of the {classes} classes in dataset_files/classes.txt, found a "
            f"network with outputs {tuple(original.outputs[0].shape[1:])}. Restore the classes.txt of this training"
        )


def _split_at_pooling(
    original: keras.Model, folder: TrainedFolder
) -> tuple[keras.layers.Layer, Sequence[keras.layers.Layer]]:
    places = [
        position
        for position, layer in enumerate(original.layers)
        if isinstance(layer, layers.GlobalAveragePooling2D) and layer.data_format == "channels_last"
    ]
    if not places:
        raise _other_structure(folder, original.layers[-4:])
    return original.layers[places[-1]], original.layers[places[-1] + 1 :]


def _dense_layers(tail: Sequence[keras.layers.Layer], folder: TrainedFolder) -> list[DenseLayer]:
    found: list[DenseLayer] = []
    for layer in tail:
        if isinstance(layer, layers.Dropout):
            continue
        activation = _activation(layer)
        if isinstance(layer, layers.Dense):
            kernel = np.asarray(layer.kernel, np.float32)
            bias = np.asarray(layer.bias, np.float32) if layer.use_bias else np.zeros(layer.units, np.float32)
            found.append(DenseLayer(kernel, bias, activation))
        elif activation and found and found[-1].activation == "linear":
            found[-1] = dataclasses.replace(found[-1], activation=activation)
        else:
            raise _other_structure(folder, tail)
    activations = [layer.activation for layer in found]
    if activations[-1:] != ["softmax"] or not set(activations[:-1]) <= {"relu", "linear"}:
        raise _other_structure(folder, tail)
    return found


def _activation(layer: keras.layers.Layer) -> str:
    """Name of the activation of a layer; empty if it has none."""
    if isinstance(layer, (layers.Dense, layers.Activation)):
        return str(getattr(layer.activation, "__name__", layer.activation))
    return "softmax" if isinstance(layer, layers.Softmax) else ""


def _other_structure(folder: TrainedFolder, found: Sequence[keras.layers.Layer]) -> ModelError:
    named = ", ".join(f"{type(layer).__name__} {_activation(layer)}".strip() for layer in found) or "nothing"
    return ModelError(
        f"{folder.checkpoint}: expected a backbone, GlobalAveragePooling2D, then dense layers with relu and a last "
        f"one with softmax, as imgclas makes them; found at its end: {named}"
    )


def _test_images(size: int) -> np.ndarray:
    """Synthetic images with coarse and fine structure, uint8 (n, size, size, 3); no training images are available."""
    rng = np.random.default_rng(0)
    grids = [rng.integers(0, 256, (cells, cells, 3), np.uint8) for cells in _CELLS_OF_TEST_IMAGES]
    return np.stack(
        [np.asarray(Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC)) for grid in grids]
    )


def _metrics(folder: TrainedFolder) -> dict[str, Any]:
    """Metrics that imgclas measured on the validation images after the last epoch."""
    last = folder.final_epoch
    accuracy = last.get("val_accuracy", last.get("val_acc"))
    if accuracy is None or not 0 <= accuracy <= 1:
        return {}
    images = sum(folder.counts.get("val", {}).values())
    measured: dict[str, Any] = {"accuracy": accuracy}
    if images:
        interval = wilson_interval(round(accuracy * images), images)
        measured |= {"images": images, "accuracy_interval": list(interval)}
    return {"val": measured | {"measured_by": "imgclas"}}


def _first_of(stats: dict[str, list[float]], *names: str) -> list[float] | None:
    return next((stats[name] for name in names if name in stats), None)
