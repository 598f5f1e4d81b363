"""Cost of one image in an ONNX graph, computed from the shapes of its tensors before anything is run.

A few bytes can describe an endless computation: a convolution repeated a thousand times on one kernel, a padding of
10^13 values. Shapes are inferred for one image with the weights left out, which takes milliseconds.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import onnx
from onnx import helper

from model.errors import ModelError
from model.features.onnx_session import IMAGE
from model.reading import without_number
from model.received import quoted

MAX_OPERATIONS = 2 * 10**12
"""Multiplications of one image."""

MAX_BYTES = 2 * 1024**3
"""Memory of the tensors that exist at the same time, with 4 bytes a value."""

_VALUE_BYTES = 4
# Shapes, axes and paddings are small tensors, whose values shape inference needs.
_MAX_SHAPE_VALUES = 64
# Functions that take about as long for one value as a convolution for a hundred multiplications.
_WORK_OF_FUNCTION = 100
_FUNCTIONS = frozenset(
    {"Acos", "Asin", "Atan", "Cos", "Cosh", "Elu", "Erf", "Exp", "Gelu", "HardSwish", "Log", "LogSoftmax", "Mish"}
    | {"Mod", "Pow", "Reciprocal", "Selu", "Sigmoid", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Sqrt", "Tan"}
    | {"Tanh", "ReduceL2", "ReduceLogSumExp"}
)
_WINDOWS = frozenset({"AveragePool", "MaxPool"})

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost of one image.

    Attributes:
        operations: multiplications, or values read and written where there are none, a hundredfold for functions such
            as a sine.
        peak_bytes: memory of the tensors that exist at the same time.
    """

    operations: int
    peak_bytes: int


def check_cost(model: onnx.ModelProto, name: str, image_size: int) -> None:
    """Refuse a graph that takes more than `MAX_OPERATIONS` or `MAX_BYTES` for one image.

    Args:
        name: of the file, for messages.
        image_size: height and width of the image.

    Raises:
        ModelError: it does, or the sizes of its tensors depend on the content of the image.
    """
    shapes = _infer_shapes(model, name, image_size)
    cost = measure(model.graph, shapes)
    if cost.operations > MAX_OPERATIONS or cost.peak_bytes > MAX_BYTES:
        raise ModelError(
            f"{name}: expected at most {MAX_OPERATIONS:,} operations and {MAX_BYTES:,} bytes for one image, found "
            f"{quoted(cost.operations)} and {quoted(cost.peak_bytes)}. It is not imported: no model "
            "exported by Topgraft is that large."
        )


def measure(graph: onnx.GraphProto, shapes: Mapping[str, Shape]) -> Cost:
    """Cost of the nodes of a graph in their order, from the shapes of all tensors."""
    last_use = {name: index for index, node in enumerate(graph.node) for name in node.input}
    weights = {tensor.name for tensor in graph.initializer}
    operations = used = peak = 0
    for index, node in enumerate(graph.node):
        operations += _operations(node, shapes)
        outputs = {name for name in node.output if name}
        used += sum(math.prod(shapes[name]) for name in outputs)
        peak = max(peak, used)
        ended = {name for name in node.input if last_use[name] == index and name not in weights}
        ended |= {name for name in outputs if name not in last_use}
        used -= sum(math.prod(shapes[name]) for name in ended if name)
    return Cost(operations, peak * _VALUE_BYTES)


def _operations(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    inputs = [shapes[name] for name in node.input if name]
    outputs = sum(math.prod(shapes[name]) for name in node.output if name)
    if node.op_type == "Conv" and len(inputs) > 1:
        return outputs * math.prod(inputs[1][1:])
    if node.op_type in ("Gemm", "MatMul") and inputs[0]:
        # Either side may be transposed: the longer one is an upper bound.
        return outputs * max(inputs[0][-2:])
    if node.op_type == "Einsum":
        return _operations_of_einsum(node, inputs)
    if node.op_type in _WINDOWS:
        return outputs * math.prod(_integers(node, "kernel_shape"))
    return (outputs + sum(map(math.prod, inputs))) * (_WORK_OF_FUNCTION if node.op_type in _FUNCTIONS else 1)


def _operations_of_einsum(node: onnx.NodeProto, inputs: Sequence[Shape]) -> int:
    """Product of the sizes of all indices; an ellipsis stands for all that its operand has left."""
    equation = next((one.s.decode("ascii", "replace") for one in node.attribute if one.name == "equation"), "")
    operands = equation.split("->")[0].replace(" ", "").split(",")
    pairs = zip(operands, inputs, strict=False)
    sizes = dict(itertools.chain.from_iterable(zip(indices, shape, strict=False) for indices, shape in pairs))
    if "." in equation or len(operands) != len(inputs):
        return math.prod(math.prod(shape) for shape in inputs)
    return math.prod(sizes.values())


def _integers(node: onnx.NodeProto, name: str) -> list[int]:
    return [abs(value) for attribute in node.attribute if attribute.name == name for value in attribute.ints]


def _infer_shapes(model: onnx.ModelProto, name: str, image_size: int) -> dict[str, Shape]:
    """Shapes of all tensors of a graph for one image.

    Raises:
        ModelError: the graph is inconsistent, or a shape is not determined by the graph.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(
            _without_weights(model, image_size), check_type=True, strict_mode=True, data_prop=True
        )
    except Exception as error:
        raise ModelError(
            f"{name}: expected a consistent graph for images of {image_size} pixels, received: "
            + quoted(without_number(error))
        ) from error
    known = [*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output]
    shapes = {value.name: shape for value in known if (shape := _fixed_shape(value)) is not None}
    shapes |= {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    used = [tensor for node in model.graph.node for tensor in (*node.input, *node.output) if tensor]
    missing = next((tensor for tensor in used if tensor not in shapes), None)
    if missing is not None:
        raise ModelError(f"{name}: expected tensors of fixed sizes, found none for {quoted(missing)}")
    if any(size < 0 for shape in shapes.values() for size in shape):
        raise ModelError(f"{name}: expected tensors of positive sizes, found a negative one")
    return shapes


def _without_weights(model: onnx.ModelProto, image_size: int) -> onnx.ModelProto:
    """The graph for one image, its large tensors replaced by inputs, and without the shapes that the file claims."""
    weights = [tensor for tensor in model.graph.initializer if _is_large(tensor.dims)]
    names = {tensor.name for tensor in model.graph.initializer}
    image = helper.make_tensor_value_info(IMAGE, onnx.TensorProto.UINT8, (1, image_size, image_size, 3))
    others = [value for value in model.graph.input if value.name != IMAGE and value.name not in names]
    graph = onnx.GraphProto(name="shapes", node=model.graph.node)
    graph.input.extend([image, *others, *_declared(weights)])
    graph.initializer.extend(tensor for tensor in model.graph.initializer if not _is_large(tensor.dims))
    graph.output.extend(onnx.ValueInfoProto(name=value.name) for value in model.graph.output)
    return onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=graph)


def _declared(tensors: Iterable[onnx.TensorProto]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in tensors]


def _is_large(shape: Iterable[int]) -> bool:
    return math.prod(shape) > _MAX_SHAPE_VALUES


def _fixed_shape(value: onnx.ValueInfoProto) -> Shape | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or not all(dimension.HasField("dim_value") for dimension in tensor.shape.dim):
        return None
    return tuple(dimension.dim_value for dimension in tensor.shape.dim)
