"""Serving by Keras, for a model whose ONNX export failed its parity check: slower, and it loads TensorFlow."""

import functools
from collections.abc import Callable

import numpy as np

from model.bundle import KERAS_MODEL, Bundle
from model.serving.graph import ACTIVATION_MAP, FEATURES, PROBABILITIES

HEAD = "head"


def keras_engine(bundle: Bundle) -> Callable[..., list[np.ndarray]]:
    """A function from uint8 images (n, height, width, 3) and the names of outputs to these outputs.

    Imported models have dense layers between the pooled features and the head. The activation map
    follows them place by place, by the units that the image switches on (`model.training.imports.importing`).
    """
    import keras

    network = keras.models.load_model(bundle.directory / KERAS_MODEL, compile=False, safe_mode=True)
    head = network.get_layer(HEAD)
    layers = network.layers
    pooled_at = max(at for at, layer in enumerate(layers) if isinstance(layer, keras.layers.GlobalAveragePooling2D))
    hidden = [layer for layer in layers[pooled_at + 1 : layers.index(head)] if isinstance(layer, keras.layers.Dense)]
    kernels = [np.asarray(layer.kernel) for layer in hidden]
    head_kernel = np.asarray(head.kernel) / bundle.manifest.temperature
    tensors = {
        PROBABILITIES: [network.output],
        FEATURES: [head.input],
        ACTIVATION_MAP: [layers[pooled_at].input, *(layer.output for layer in hidden)],
    }

    @functools.cache
    def network_to(outputs: tuple[str, ...]) -> keras.Model:
        return keras.Model(network.input, [tensor for output in outputs for tensor in tensors[output]])

    def run(images: np.ndarray, *outputs: str) -> list[np.ndarray]:
        found = iter(keras.tree.flatten(network_to(outputs)(images, training=False)))
        parts = [[np.asarray(next(found)) for _ in tensors[output]] for output in outputs]
        return [
            activation_map(*arrays) if output == ACTIVATION_MAP else arrays[0]
            for output, arrays in zip(outputs, parts, strict=True)
        ]

    def activation_map(places: np.ndarray, *units_of_layers: np.ndarray) -> np.ndarray:
        for kernel, units in zip(kernels, units_of_layers, strict=True):
            places = (places @ kernel) * (units != 0)[:, None, None]
        return places @ head_kernel

    return run
