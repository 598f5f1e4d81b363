"""The classifier in Keras: a backbone, pooled features, the head, calibrated probabilities.

Only layers of Keras itself, so that loading a saved model needs no code of ours.
"""

import keras
import numpy as np
from keras import layers

from model.serving.graph import FEATURES, PROBABILITIES
from model.serving.keras_engine import HEAD


def build_classifier(backbone: keras.Model, kernel: np.ndarray, bias: np.ndarray, temperature: float) -> keras.Model:
    """The whole model.

    Args:
        backbone: from uint8 images to a feature map (`model.training.pretrained`).
        kernel: float32 (features, classes) of the head.
        bias: float32 (classes,).
        temperature: what logits are divided by before softmax (Guo et al., 2017), above 0.

    Returns:
        A model from uint8 (n, height, width, 3) in [0, 255] to float32 probabilities (n, classes).
    """
    features = layers.GlobalAveragePooling2D(name=FEATURES, dtype="float32")(backbone.output)
    head = layers.Dense(kernel.shape[1], name=HEAD, dtype="float32")
    logits = head(features)
    head.set_weights([kernel, bias])
    calibrated = layers.Rescaling(1 / temperature, name="temperature", dtype="float32")(logits)
    probabilities = layers.Softmax(name=PROBABILITIES, dtype="float32")(calibrated)
    return keras.Model(backbone.input, probabilities, name=f"{backbone.name}_classifier")


def cut_at_last_block(backbone: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Cut a backbone in two: a trunk that stays frozen, and its last block.

    The cut is a place at the final resolution that every path goes through, so that one tensor
    carries everything: the narrowest, of equal ones the first. Where nothing behind it could be
    trained, it is one at the resolution before.
    (In a NASNet each cell reads the two before it, so its only such place is near the input.)

    Returns:
        The trunk, from uint8 images to the tensor at the cut, and the block, from that tensor to the
        feature map. Both share their layers with `backbone`.
    """
    network = backbone.layers[-1]
    places = _bottlenecks(network)
    for resolution in sorted({tensor.shape[1] for tensor in places}):
        cut = min((tensor for tensor in places if tensor.shape[1] == resolution), key=lambda tensor: tensor.shape[-1])
        block = keras.Model(cut, network.output, name="last_block")
        if block.trainable_weights:
            below = keras.Model(network.input, cut, name="trunk")
            scaled = network._inbound_nodes[-1].input_tensors[0]
            return keras.Model(backbone.input, below(scaled), name="trunk_from_pixels"), block
    raise ValueError(f"{network.name}: expected a network with weights to train, found none")


def freeze_batch_normalization(network: keras.Model) -> None:
    """Keep the statistics and the scale of every BatchNormalization layer as they are, in training too."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            freeze_batch_normalization(layer)
        elif isinstance(layer, layers.BatchNormalization):
            layer.trainable = False


def _bottlenecks(network: keras.Model) -> list[keras.KerasTensor]:
    """The 4-dimensional tensors inside that every path from input to output goes through, input first."""
    last_use = {id(network.output): len(network.operations)}
    for position, operation in enumerate(network.operations):
        for tensor in keras.tree.flatten(operation.input):
            last_use[id(tensor)] = max(position, last_use.get(id(tensor), 0))
    found: list[keras.KerasTensor] = []
    alive: set[int] = set()
    for position, operation in enumerate(network.operations):
        alive.add(id(operation.output))
        alive = {tensor for tensor in alive if last_use[tensor] > position}
        if alive == {id(operation.output)} and len(operation.output.shape) == 4:
            found.append(operation.output)
    return [tensor for tensor in found if tensor is not network.output and tensor is not network.input]
