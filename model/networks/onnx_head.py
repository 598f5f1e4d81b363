"""The layers after a backbone, appended to its ONNX graph as nodes.

Converting a network takes seconds and Keras, appending nodes neither: a training whose backbone stayed frozen reuses
the converted one.
"""

import dataclasses

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model.features.onnx_session import ACTIVATION_MAP, FEATURE_MAP, FEATURES, PROBABILITIES


@dataclasses.dataclass(frozen=True)
class DenseLayer:
    """A dense layer: kernel float32 (inputs, units), bias (units,), and the activation `relu` or `linear`."""

    kernel: np.ndarray
    bias: np.ndarray
    activation: str


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
