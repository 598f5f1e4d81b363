"""Keras as inference engine, for a model whose ONNX export failed its parity check: slower, and loads TensorFlow."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from model.bundle import Bundle
from model.bundle_files import KERAS_MODEL
from model.features.onnx_session import ACTIVATION_MAP, FEATURES, PROBABILITIES

if TYPE_CHECKING:
    import keras

HEAD, TEMPERATURE = "head", "temperature"
"""Names of layers after the backbone, see `model.networks.network.build_classifier`."""

# Computed together: a request for one of them mostly needs the other as well, at no extra cost.
_PREDICTION = (PROBABILITIES, FEATURES)


def keras_engine(bundle: Bundle) -> Callable[..., list[np.ndarray]]:
    """Inference function from uint8 images (n, height, width, 3) and the names of outputs to these outputs.

    Imported models have dense layers between the pooled features and the head. Their activation map applies these
    layers at each position, with the units that are active for the image (`model.importing.imgclas_import`).

    With TensorFlow, probabilities and features are compiled here, the activation map at its first request.
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
    def network_to(outputs: tuple[str, ...]) -> Callable[[np.ndarray], Any]:
        return _compiled(keras.Model(network.input, [tensor for output in outputs for tensor in tensors[output]]))

    def run(images: np.ndarray, *outputs: str) -> list[np.ndarray]:
        computed = _PREDICTION if set(outputs) <= set(_PREDICTION) else outputs
        found = iter(keras.tree.flatten(network_to(computed)(images)))
        parts = {output: [np.asarray(next(found)) for _ in tensors[output]] for output in computed}
        return [activation_map(*parts[output]) if output == ACTIVATION_MAP else parts[output][0] for output in outputs]

    def activation_map(positions: np.ndarray, *units_of_layers: np.ndarray) -> np.ndarray:
        for kernel, units in zip(kernels, units_of_layers, strict=True):
            positions = (positions @ kernel) * (units != 0)[:, None, None]
        return positions @ head_kernel

    # The first call compiles the graph, so that no client waits for it.
    run(np.zeros((1, *bundle.manifest.input_spec.shape), np.uint8), *_PREDICTION)
    return run


def _compiled(network: "keras.Model") -> Callable[[np.ndarray], Any]:
    """The network compiled for inference on any number of images; uncompiled, Python takes most of the time."""
    import keras

    def infer(images: Any) -> Any:
        return network(images, training=False)

    if keras.backend.backend() != "tensorflow":
        return infer
    import tensorflow as tf

    return tf.function(infer, input_signature=[tf.TensorSpec(network.input.shape, network.input.dtype)])
