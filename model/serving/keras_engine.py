"""Serving by Keras, for a model whose ONNX export failed its parity check: slower, and it loads TensorFlow."""

from collections.abc import Callable

import numpy as np

from model.bundle import KERAS_MODEL, Bundle
from model.serving.graph import ACTIVATION_MAP, FEATURES, PROBABILITIES

HEAD = "head"


def keras_engine(bundle: Bundle) -> Callable[[np.ndarray, str], np.ndarray]:
    """A function from uint8 images (n, height, width, 3) and the name of an output to that output."""
    import keras

    network = keras.models.load_model(bundle.directory / KERAS_MODEL, compile=False, safe_mode=True)
    pooling, head = network.get_layer(FEATURES), network.get_layer(HEAD)
    kernel = np.asarray(head.kernel) / bundle.manifest.temperature
    outputs = {
        PROBABILITIES: network,
        FEATURES: keras.Model(network.input, pooling.output),
        ACTIVATION_MAP: keras.Model(network.input, pooling.input),
    }

    def run(images: np.ndarray, output: str) -> np.ndarray:
        answer = np.asarray(outputs[output](images, training=False))
        return answer @ kernel if output == ACTIVATION_MAP else answer

    return run
