"""Checks of an ONNX graph from an untrusted source: only what our exporters write, and at a bounded cost.

A tensor of a graph may be stored in another file, which ONNX Runtime would read; a node may belong to a domain whose
operators come from a library; control flow (Loop, Scan, If) and functions can run for ever. A graph therefore consists
of the operators in `OPERATORS` only, without subgraphs: https://onnx.ai/onnx/repo-docs/IR.html. What they cost is known
before they run: `model.importing.network_cost`.
"""

import math
from collections.abc import Collection, Iterator
from pathlib import Path

import onnx

from model.errors import ModelError
from model.importing.network_cost import check_cost
from model.reading import read_regular, without_number
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
    # Backbones that users add.
    | {"Abs", "BatchNormalization", "Ceil", "Cos", "DepthToSpace", "Einsum", "Equal", "Floor", "Gather", "Gelu"}
    | {"GlobalLpPool", "GroupNormalization", "Less", "Log", "LogSoftmax", "LpNormalization", "Mish", "Not", "ReduceL2"}
    | {"ReduceMin", "Round", "Sign", "Sin", "SpaceToDepth", "Where"}
    # int8.
    | {"DequantizeLinear", "QuantizeLinear"}
)
"""Operators of imported graphs, all of the standard domain."""

CONSTANTS = frozenset(
    {"And", "Constant", "ConstantOfShape", "Expand", "GreaterOrEqual", "LessOrEqual", "Mod", "Or", "Range", "Shape"}
    | {"Size", "Tile", "Trilu"}
)
"""Operators of networks as other programs export them, whose results are constants for one image."""

_DOMAINS = frozenset({"", "ai.onnx"})
_MAX_NODES = 20_000
# Each part takes a byte in the file, and a hundred in memory.
_MAX_TENSORS = 50_000
_MAX_OPERATOR_SETS = 20
_MAX_PARTS = 1_000
_MAX_RANK = 16
# Each adds dimensions to all tensors after it.
_MAX_UNSQUEEZES = 500
# The limit of the format.
_MAX_BYTES = 2 * 1024**3
_MAX_PROBLEMS = 5


def check_untrusted_graph(path: Path, image_size: int) -> None:
    """Check that a graph contains all of its tensors, and only operators that Topgraft exports, at a bounded cost.

    Args:
        image_size: height and width of the images that it is used with.

    Raises:
        ModelError: the graph contains anything else, or the file is not an ONNX graph.
    """
    model = read_graph(path)
    problems = list(dict.fromkeys(problems_of(model, OPERATORS)))
    if problems:
        raise ModelError(
            f"{path.name}: expected a self-contained graph of the operators that Topgraft exports, found "
            f"{'; '.join(problems[:_MAX_PROBLEMS])}. It is not imported: ask its author for a model as "
            "Topgraft exports it."
        )
    check_cost(model, path.name, image_size)


def read_graph(path: Path) -> onnx.ModelProto:
    """Read an ONNX graph without the files that it names.

    Raises:
        ModelError: the file is not an ONNX graph.
    """
    try:
        return onnx.load_model_from_string(read_regular(path, _MAX_BYTES))
    # The parser of protobuf raises classes of its own.
    except Exception as error:
        raise ModelError(
            f"{path.name}: expected an ONNX graph, received: {quoted(without_number(error))}. Download the model again."
        ) from error


def problems_of(model: onnx.ModelProto, operators: Collection[str]) -> Iterator[str]:
    """What a graph contains beyond its own tensors and the given operators, as noun phrases."""
    graph = model.graph
    if model.functions or model.training_info:
        yield "functions or training steps of its own"
    if not graph.node:
        yield "no operators"
    if graph.sparse_initializer:
        yield "sparse tensors"
    excess = list(_excess(model))
    if excess:
        yield from excess
        return
    tensors = [*graph.initializer]
    for node in graph.node:
        if node.domain not in _DOMAINS or node.op_type not in operators:
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
        elif len(tensor.dims) > _MAX_RANK:
            yield f"the tensor {quoted(tensor.name)}, which has more than {_MAX_RANK} dimensions"
        # Each value takes at least one byte.
        elif math.prod(tensor.dims) > tensor.ByteSize() or min(tensor.dims, default=0) < 0:
            yield f"the tensor {quoted(tensor.name)}, which claims more values than the file has"


def _excess(model: onnx.ModelProto) -> Iterator[str]:
    """Numbers of parts that no exported graph has: checking them would take long."""
    graph = model.graph
    for count, most, name in (
        (len(graph.node), _MAX_NODES, "operators"),
        (len(graph.initializer), _MAX_TENSORS, "tensors"),
        (len(graph.input) + len(graph.output), _MAX_TENSORS, "inputs and outputs"),
        (len(model.opset_import), _MAX_OPERATOR_SETS, "operator sets"),
        (sum(node.op_type == "Unsqueeze" for node in graph.node), _MAX_UNSQUEEZES, "operators that add dimensions"),
    ):
        if count > most:
            yield f"{count:,} {name}, at most {most:,} are expected"
    newest = onnx.defs.onnx_opset_version()
    if model.ir_version > onnx.IR_VERSION or any(one.version > newest for one in model.opset_import):
        yield f"a format or operator set later than {newest}, the newest known one"
    if any(len(value.type.tensor_type.shape.dim) > _MAX_RANK for value in (*graph.input, *graph.output)):
        yield f"inputs of more than {_MAX_RANK} dimensions"
    for node in graph.node:
        if _parts(node) > _MAX_PARTS:
            yield f"the operator {quoted(node.op_type)} with more than {_MAX_PARTS:,} values, inputs and attributes"


def _parts(node: onnx.NodeProto) -> int:
    values = sum(len(one.ints) + len(one.floats) + len(one.strings) + len(one.tensors) for one in node.attribute)
    return len(node.input) + len(node.output) + len(node.attribute) + values
