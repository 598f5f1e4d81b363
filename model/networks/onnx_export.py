"""Conversion of a backbone from Keras to ONNX; `model.networks.onnx_head` appends the layers after it."""

import contextlib
import gc
import logging
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import onnx
from onnx import numpy_helper

from model.errors import ExportError
from model.features.canonical_graph import make_canonical
from model.features.onnx_session import FEATURE_MAP, FEATURES, IMAGE

_OPSET = 17

log = logging.getLogger(__name__)


def convert_backbone(network: keras.Model) -> onnx.ModelProto:
    """Convert a backbone to a graph with the outputs `features` and `feature_map`.

    Args:
        network: from uint8 (n, height, width, 3) to a float32 feature map (n, map_height, map_width, channels).

    Returns:
        A graph with any batch size; `features` is the mean of the map over height and width, (n, channels). Its bytes
        depend on the network and its weights only.

    Raises:
        ExportError: an operation of the network has no counterpart in ONNX.
    """
    import tensorflow as tf
    import tf2onnx

    def outputs(image: tf.Tensor) -> dict[str, tf.Tensor]:
        feature_map = network(image, training=False)
        return {FEATURE_MAP: feature_map, FEATURES: tf.reduce_mean(feature_map, axis=(1, 2))}

    signature = [tf.TensorSpec((None, *network.input.shape[1:]), tf.uint8, name=IMAGE)]
    traced = tf.function(outputs, input_signature=signature)
    with _collecting_young_garbage():
        graph, _ = tf2onnx.convert.from_function(traced, input_signature=signature, opset=_OPSET)
    _keep_captured_constants(graph, traced.get_concrete_function())
    make_canonical(graph.graph)
    try:
        onnx.checker.check_model(graph)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"{network.name} cannot be converted to ONNX: {error}") from error
    log.info("converted %s to ONNX: %d nodes", network.name, len(graph.graph.node))
    return graph


@contextlib.contextmanager
def _collecting_young_garbage() -> Iterator[None]:
    """Exclude existing objects from garbage collection, so that it runs often enough to free the copies of the
    graph that the converter leaves in reference cycles: 400 MB less at the peak."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.collect()


def _keep_captured_constants(model: onnx.ModelProto, function: Any) -> None:
    """Turn captured constants, such as the mean that EfficientNet subtracts, from inputs of the graph, as which
    the converter leaves them, into initializers."""
    inputs = model.graph.input
    captured = {inside.name: outside for outside, inside in function.graph.captures}
    for value in [value for value in inputs if value.name in captured]:
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(captured[value.name]), value.name))
        inputs.remove(value)
