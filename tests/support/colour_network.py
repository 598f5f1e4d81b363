"""A network in ONNX whose features are the mean colour: built in milliseconds."""

import onnx
from onnx import TensorProto, helper

from model.features.onnx_session import FEATURES, IMAGE
from model.results import InputSpec


def colour_graph(spec: InputSpec) -> bytes:
    """The network for images of a size, with three features."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", [IMAGE], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels"], [FEATURES], axes=[1, 2], keepdims=0),
        ],
        "mean colour",
        [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["n", *spec.shape])],
        [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["n", 3])],
    )
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    onnx.checker.check_model(content)
    return content
