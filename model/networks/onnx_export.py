"""From Keras to ONNX: a backbone once, then the head as a few nodes behind it.

Converting a network takes seconds, writing a head's nodes takes none: a training whose backbone
stayed frozen reuses the converted one.
"""

import contextlib
import gc
import logging
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model.errors import ExportError
from model.features.onnx_session import ACTIVATION_MAP, FEATURE_MAP, FEATURES, IMAGE, PROBABILITIES

_OPSET = 17

log = logging.getLogger(__name__)


def convert_backbone(network: keras.Model) -> onnx.ModelProto:
    """Convert a backbone to a graph with the outputs `features` and `feature_map`.

    Args:
        network: from uint8 (n, height, width, 3) to a float32 feature map (n, map_height, map_width, channels).

    Returns:
        A graph with any batch size; `features` is the mean of the map over height and width, (n, channels).

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
    try:
        onnx.checker.check_model(graph)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"{network.name} cannot be converted to ONNX: {error}") from error
    log.info("converted %s to ONNX: %d nodes", network.name, len(graph.graph.node))
    return graph


@contextlib.contextmanager
def _collecting_young_garbage() -> Iterator[None]:
    """Hide older objects from the garbage collector, so that it runs often enough to find the copies of the
    graph that the converter drops in cycles: 400 MB less at the peak."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.collect()


def _keep_captured_constants(model: onnx.ModelProto, function: Any) -> None:
    """Give the graph the constants that its function took from outside, such as the mean that
    EfficientNet subtracts: the converter makes them inputs."""
    inputs = model.graph.input
    captured = {inside.name: outside for outside, inside in function.graph.captures}
    for value in [value for value in inputs if value.name in captured]:
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(captured[value.name]), value.name))
        inputs.remove(value)


def attach_head(backbone: onnx.ModelProto, kernel: np.ndarray, bias: np.ndarray, temperature: float) -> onnx.ModelProto:
    """A copy of a converted backbone that answers `probabilities`, with `features` and `activation_map` beside it.

    Args:
        backbone: from `convert_backbone`.
        kernel: float32 (features, classes).
        bias: float32 (classes,).
        temperature: what logits are divided by before softmax, above 0.
    """
    classes = kernel.shape[1]
    model = onnx.ModelProto()
    model.CopyFrom(backbone)
    graph = model.graph
    scaled_kernel = np.ascontiguousarray(kernel / temperature, np.float32)
    graph.initializer.extend(
        [
            numpy_helper.from_array(scaled_kernel, "head_kernel"),
            numpy_helper.from_array(np.asarray(bias / temperature, np.float32), "head_bias"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Gemm", [FEATURES, "head_kernel", "head_bias"], ["logits"], name="head"),
            helper.make_node("Softmax", ["logits"], [PROBABILITIES], name="softmax", axis=-1),
            helper.make_node("MatMul", [FEATURE_MAP, "head_kernel"], [ACTIVATION_MAP], name="activation"),
        ]
    )
    features = next(output for output in graph.output if output.name == FEATURES)
    del graph.output[:]
    graph.output.extend(
        [
            helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["n", classes]),
            features,
            helper.make_tensor_value_info(ACTIVATION_MAP, TensorProto.FLOAT, ["n", "height", "width", classes]),
        ]
    )
    onnx.checker.check_model(model)
    return model
