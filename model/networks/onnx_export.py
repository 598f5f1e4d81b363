"""Export from Keras to ONNX: the backbone is converted, and the layers after it are appended as nodes.

Converting a network takes seconds, appending nodes takes none: a training whose backbone stayed frozen reuses
the converted one.
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
from model.networks.network import DenseLayer

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


def attach_head(backbone: onnx.ModelProto, kernel: np.ndarray, bias: np.ndarray, temperature: float) -> onnx.ModelProto:
    """A copy of a converted backbone with the outputs `probabilities`, `features` and `activation_map`.

    Args:
        backbone: from `convert_backbone`.
        kernel: float32 (features, classes).
        bias: float32 (classes,).
        temperature: divides the logits before softmax, above 0.
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


def attach_hidden_layer(backbone: onnx.ModelProto, layer: DenseLayer) -> onnx.ModelProto:
    """A copy of a converted backbone with a dense layer appended, for `attach_head` or another such layer.

    Its output `features` is that of the layer, (n, units). Its output `feature_map` is the contribution of each
    position to each unit before the bias, (n, height, width, units), zero for inactive units. The product of
    `feature_map` with the head's kernel is Grad-CAM.
    """
    extended = onnx.ModelProto()
    extended.CopyFrom(backbone)
    graph = extended.graph
    depth = sum(node.name.startswith("hidden_layer") for node in graph.node)
    features, feature_map = f"{FEATURES}_{depth}", f"{FEATURE_MAP}_{depth}"
    _rename_tensors(graph, {FEATURES: features, FEATURE_MAP: feature_map})
    kernel, bias, values, positions, mask = (
        f"{name}_{depth}" for name in ("kernel", "bias", "sums", "positions", "mask")
    )
    graph.initializer.extend([numpy_helper.from_array(layer.kernel, kernel), numpy_helper.from_array(layer.bias, bias)])
    graph.node.append(helper.make_node("Gemm", [features, kernel, bias], [values], name=f"hidden_layer_{depth}"))
    graph.node.append(helper.make_node("MatMul", [feature_map, kernel], [positions]))
    if layer.activation == "relu":
        zero, axes, on, wide = (f"{name}_{depth}" for name in ("zero", "axes", "on", "wide"))
        graph.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), zero))
        graph.initializer.append(numpy_helper.from_array(np.array([1, 2]), axes))
        graph.node.extend(
            [
                helper.make_node("Relu", [values], [FEATURES]),
                helper.make_node("Greater", [values, zero], [on]),
                helper.make_node("Cast", [on], [mask], to=TensorProto.FLOAT),
                helper.make_node("Unsqueeze", [mask, axes], [wide]),
                helper.make_node("Mul", [positions, wide], [FEATURE_MAP]),
            ]
        )
    else:
        graph.node.append(helper.make_node("Identity", [values], [FEATURES]))
        graph.node.append(helper.make_node("Identity", [positions], [FEATURE_MAP]))
    del graph.output[:]
    units = layer.kernel.shape[1]
    for name, shape in ((FEATURES, ["n", units]), (FEATURE_MAP, ["n", "height", "width", units])):
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return extended


def _rename_tensors(graph: onnx.GraphProto, new_names: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [new_names.get(name, name) for name in node.input]
        node.output[:] = [new_names.get(name, name) for name in node.output]
