"""The classifier in Keras: a backbone, pooled features, the head, calibrated probabilities.

Only built-in layers of Keras are used, so that a saved model can be loaded without Topgraft.
"""

import itertools
from collections.abc import Iterator, Sequence

import keras
import numpy as np
from keras import layers

from model.features.onnx_session import FEATURES, PROBABILITIES
from model.serving.keras_engine import HEAD, TEMPERATURE

_SIDE_BY_SIDE = "side_by_side"


def build_classifier(backbone: keras.Model, kernel: np.ndarray, bias: np.ndarray, temperature: float) -> keras.Model:
    """Build the complete classifier.

    Its BatchNormalization layers are frozen, so that their statistics stay when it is loaded and trained further: `fit`
    of Keras 3 trains those of a network that was called with `training=False`.

    Args:
        backbone: from uint8 images to a feature map (`model.networks.pretrained`).
        kernel: float32 (features, classes) of the head.
        bias: float32 (classes,).
        temperature: divides the logits before softmax (Guo et al., 2017), above 0.

    Returns:
        A model from uint8 (n, height, width, 3) in [0, 255] to float32 probabilities (n, classes).
    """
    freeze_batch_normalization(backbone)
    features = layers.GlobalAveragePooling2D(name=FEATURES, dtype="float32")(backbone.output)
    head = layers.Dense(kernel.shape[1], name=HEAD, dtype="float32")
    logits = head(features)
    head.set_weights([kernel, bias])
    calibrated = layers.Rescaling(1 / temperature, name=TEMPERATURE, dtype="float32")(logits)
    probabilities = layers.Softmax(name=PROBABILITIES, dtype="float32")(calibrated)
    return keras.Model(backbone.input, probabilities, name=f"{backbone.name}_classifier")


def side_by_side(parts: Sequence[keras.Model]) -> keras.Model:
    """Join networks that take the same images: their feature maps, of equal height and width, follow each other."""
    inputs = keras.Input(parts[0].input.shape[1:])
    return keras.Model(inputs, layers.Concatenate(name=_SIDE_BY_SIDE)([part(inputs) for part in parts]))


def cut_at_last_block(backbone: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Divide a backbone into a frozen trunk and its last block.

    The cut is at the final resolution, at a tensor that every path goes through: the narrowest, the first of equals.
    If no layer after it can be trained, the cut is at the resolution before.
    (In a NASNet each cell reads the two before it, so its only such tensor is near the input.)
    Networks side by side are cut each, and the tensors at their cuts follow each other.

    Returns:
        The trunk, from uint8 images to the tensor at the cut, and the block, from that tensor to the
        feature map. Both share their layers with `backbone`.
    """
    network = backbone.layers[-1]
    scaled = network._inbound_nodes[-1].input_tensors[0]
    trunks, blocks = zip(*(_cut(part) for part in _parts(network)), strict=True)
    cuts = [trunk(scaled) for trunk in trunks]
    if len(blocks) == 1:
        return keras.Model(backbone.input, cuts[0], name="trunk_from_pixels"), blocks[0]
    trunk = keras.Model(backbone.input, layers.Concatenate()(cuts), name="trunk_from_pixels")
    inputs = keras.Input(trunk.output.shape[1:])
    ends = list(itertools.accumulate(cut.shape[-1] for cut in cuts))
    maps = [block(inputs[..., start:end]) for block, start, end in zip(blocks, [0, *ends], ends, strict=False)]
    return trunk, keras.Model(inputs, layers.Concatenate(name=_SIDE_BY_SIDE)(maps), name="last_blocks")


def _parts(network: keras.Model) -> list[keras.Model]:
    """The networks that `side_by_side` has joined; the network itself if it is a single one."""
    if network.operations[-1].name != _SIDE_BY_SIDE:
        return [network]
    return [operation for operation in network.operations if isinstance(operation, keras.Model)]


def _cut(network: keras.Model) -> tuple[keras.Model, keras.Model]:
    """The part of a network below its last block, and the block."""
    bottlenecks = _bottlenecks(network)
    for resolution in sorted({tensor.shape[1] for tensor in bottlenecks}):
        candidates = (tensor for tensor in bottlenecks if tensor.shape[1] == resolution)
        cut = min(candidates, key=lambda tensor: tensor.shape[-1])
        block = keras.Model(cut, network.output, name=f"{network.name}_last_block")
        if block.trainable_weights:
            return keras.Model(network.input, cut, name=f"{network.name}_trunk"), block
    raise ValueError(f"{network.name}: expected a network with weights to train, found none")


def copy_network(network: keras.Model, dtype: str | None = None) -> keras.Model:
    """A copy of a network with its own weights.

    Args:
        dtype: the dtype policy of its layers, such as `mixed_float16`; None keeps it.
    """

    def copy_layer(layer: keras.Operation) -> keras.Operation:
        config = layer.get_config()
        if dtype is not None and isinstance(layer, layers.Layer):
            config["dtype"] = dtype
        return type(layer).from_config(config)

    copy = keras.models.clone_model(network, clone_function=copy_layer, recursive=True)
    copy.set_weights(network.get_weights())
    return copy


def freeze_batch_normalization(network: keras.Model) -> None:
    """Freeze the statistics and the scale of every BatchNormalization layer."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            freeze_batch_normalization(layer)
        elif isinstance(layer, layers.BatchNormalization):
            layer.trainable = False


def stages(network: keras.Model) -> list[list[layers.Layer]]:
    """The layers with weights, grouped by resolution, the group nearest to the output first.

    A layer belongs to the resolution of the next tensor at or after it that every path goes through, so that the
    side paths of a block belong to the block.

    Args:
        network: a backbone, or a part of one, that ends in a feature map.
    """
    # The layers of networks side by side follow each other.
    pairs = sorted(_layers_with_resolution(network), key=lambda pair: pair[1])
    return [[layer for layer, _ in group] for _, group in itertools.groupby(pairs, key=lambda pair: pair[1])]


def _layers_with_resolution(network: keras.Model) -> Iterator[tuple[layers.Layer, int]]:
    """The layers with weights and their resolutions, from the output to the input."""
    resolutions = {id(tensor): tensor.shape[1] for tensor in _bottlenecks(network)}
    resolution = network.output.shape[1]
    for operation in reversed(network.operations):
        resolution = resolutions.get(id(_output(operation)), resolution)
        if isinstance(operation, keras.Model) and not isinstance(operation, keras.Sequential):
            yield from _layers_with_resolution(operation)
        elif isinstance(operation, layers.Layer) and operation.weights:
            yield operation, resolution


def _bottlenecks(network: keras.Model) -> list[keras.KerasTensor]:
    """The 4-dimensional inner tensors that every path from input to output goes through, input first."""
    last_use = {id(network.output): len(network.operations)}
    for position, operation in enumerate(network.operations):
        for tensor in operation._inbound_nodes[0].input_tensors:
            last_use[id(tensor)] = max(position, last_use.get(id(tensor), 0))
    found: list[keras.KerasTensor] = []
    alive: set[int] = set()
    for position, operation in enumerate(network.operations):
        output = _output(operation)
        alive.add(id(output))
        alive = {tensor for tensor in alive if last_use[tensor] > position}
        if alive == {id(output)} and len(output.shape) == 4:
            found.append(output)
    return [tensor for tensor in found if tensor is not network.output and tensor is not network.input]


def _output(operation: keras.Operation) -> keras.KerasTensor:
    """The output of an operation in the network around it; `output` of a nested model is inside that."""
    return operation._inbound_nodes[0].output_tensors[0]
