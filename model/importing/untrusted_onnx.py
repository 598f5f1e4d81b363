"""Checks of an ONNX graph from an untrusted source: only what our exporters write, and at a bounded cost.

A tensor of a graph may be stored in another file, which ONNX Runtime would read; a node may belong to a domain whose
operators come from a library; control flow (Loop, Scan, If) and functions can run for ever. A graph therefore consists
of the operators in `OPERATORS` only, without subgraphs: https://onnx.ai/onnx/repo-docs/IR.html. What they cost is known
before they run: `model.importing.network_cost`.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import onnx

from model.errors import ModelError
from model.importing.network_cost import check_cost
from model.received import quoted

OPERATORS = frozenset(
    # The backbones of `model/backbones.py`, and the layers of imported networks.
    {"Add", "AveragePool", "Cast", "Clip", "Concat", "Conv", "Div", "Elu", "Erf", "Exp", "Flatten"}
    | {"GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization"}
    | {"LayerNormalization", "LeakyRelu", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mul", "Neg", "PRelu", "Pad"}
    | {"Pow", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Resize", "Selu", "Sigmoid"}
    | {"Slice", "Softplus", "Softsign", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Transpose", "Unsqueeze"}
    # The layers that are attached to them.
    | {"Gemm", "Greater", "Softmax"}
    # int8.
    | {"DequantizeLinear", "QuantizeLinear"}
)
"""Operators of imported graphs, all of the standard domain."""

_DOMAINS = frozenset({"", "ai.onnx"})
_MAX_NODES = 20_000
_MAX_PROBLEMS = 5


def check_untrusted_graph(path: Path, image_size: int) -> None:
    """Check that a graph contains all of its tensors, and only operators that Topgraft exports, at a bounded cost.

    Args:
        image_size: height and width of the images that it is used with.

    Raises:
        ModelError: the graph contains anything else, or the file is not an ONNX graph.
    """
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    # The parser of protobuf raises classes of its own.
    except Exception as error:
        raise ModelError(
            f"{path.name}: expected an ONNX graph, received: {quoted(str(error))}. Download the model again."
        ) from error
    problems = list(dict.fromkeys(_problems(model)))
    if problems:
        raise ModelError(
            f"{path.name}: expected a self-contained graph of the operators that Topgraft exports, found "
            f"{'; '.join(problems[:_MAX_PROBLEMS])}. It is not imported: ask its author for a model as "
            "Topgraft exports it."
        )
    check_cost(model, path.name, image_size)


def _problems(model: onnx.ModelProto) -> Iterator[str]:
    graph = model.graph
    if model.functions or model.training_info:
        yield "functions or training steps of its own"
    if not graph.node:
        yield "no operators"
    if graph.sparse_initializer:
        yield "sparse tensors"
    if len(graph.node) > _MAX_NODES:
        yield f"{len(graph.node):,} operators, at most {_MAX_NODES:,} are expected"
        return
    tensors = [*graph.initializer]
    for node in graph.node:
        if node.domain not in _DOMAINS or node.op_type not in OPERATORS:
            name = ".".join((node.domain or "ai.onnx", node.op_type))
            yield f"the operator {quoted(name)}"
        for attribute in node.attribute:
            tensors += [*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors]
            if attribute.HasField("g") or attribute.graphs:
                yield f"a graph inside the operator {quoted(node.op_type)}"
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors or attribute.ref_attr_name:
                yield f"sparse tensors or references in the operator {quoted(node.op_type)}"
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            yield f"the tensor {quoted(tensor.name)}, which is stored in another file"
        # Each value takes at least one byte.
        elif math.prod(tensor.dims) > tensor.ByteSize() or min(tensor.dims, default=0) < 0:
            yield f"the tensor {quoted(tensor.name)}, which claims more values than the file has"
