"""Serving by Keras, for a model whose ONNX export failed its parity check: slower, and it loads TensorFlow."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from model.bundle import Bundle
from model.bundle_files import KERAS_MODEL
from model.features.onnx_session import ACTIVATION_MAP, FEATURES, PROBABILITIES

if TYPE_CHECKING:
    import keras

HEAD = "head"

# Computed together: whoever asks for one of them mostly wants the other as well, and it costs nothing.
_ANSWER = (PROBABILITIES, FEATURES)


def keras_engine(bundle: Bundle) -> Callable[..., list[np.ndarray]]:
    """A function from uint8 images (n, height, width, 3) and the names of outputs to these outputs.

    Imported models have dense layers between the pooled features and the head. The activation map
    follows them place by place, by the units that the image switches on (`model.importing.imgclas_import`).

    With TensorFlow, what an answer takes is made a graph here; the activation map, when it is first asked for.
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
        computed = _ANSWER if set(outputs) <= set(_ANSWER) else outputs
        found = iter(keras.tree.flatten(network_to(computed)(images)))
        parts = {output: [np.asarray(next(found)) for _ in tensors[output]] for output in computed}
        return [activation_map(*parts[output]) if output == ACTIVATION_MAP else parts[output][0] for output in outputs]

    def activation_map(places: np.ndarray, *units_of_layers: np.ndarray) -> np.ndarray:
        for kernel, units in zip(kernels, units_of_layers, strict=True):
            places = (places @ kernel) * (units != 0)[:, None, None]
        return places @ head_kernel

    # The first call makes the graph: no client is to wait for that.
    run(np.zeros((1, *bundle.manifest.input_spec.shape), np.uint8), *_ANSWER)
    return run


def _compiled(network: "keras.Model") -> Callable[[np.ndarray], Any]:
    """The network in inference, for any number of images; called layer by layer, Python takes most of the time."""
    import keras

    def infer(images: Any) -> Any:
        return network(images, training=False)

    if keras.backend.backend() != "tensorflow":
        return infer
    import tensorflow as tf

    return tf.function(infer, input_signature=[tf.TensorSpec(network.input.shape, network.input.dtype)])
