"""A feature network in ONNX from elsewhere, adapted to what the rest of a model expects of a backbone.

The result takes uint8 pixels (n, height, width, 3) as `image` and returns `features` (n, features) and `feature_map`
(n, map_height, map_width, features), as `model.networks.onnx_export` writes them.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model.added_backbones import OwnScaling
from model.errors import ConfigError, ModelError
from model.features.onnx_session import FEATURE_MAP, FEATURES, IMAGE, open_session
from model.networks.scaling import factor_and_offset
from model.reading import without_number
from model.received import listed, quoted

Pooling = Literal["mean", "first"]
"""Features of a network that returns a sequence, as a vision transformer does: the mean over the positions of the
image, or the first of the sequence, which is the class token."""

# Operators whose axes are an input and not an attribute.
_OLDEST_OPSET = 13
_REDUCE_MEAN_WITH_INPUT = 18
_INSIDE = "network/"
_RAW = f"{_INSIDE}output"
_MAX_FEATURES = 65_536
# The class token, and registers.
_MAX_OTHER_TOKENS = 16
_MAX_SHOWN = 20
_ELEMENT_TYPES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8)


@dataclasses.dataclass(frozen=True)
class FeatureNetworkOptions:
    """What a graph does not say about itself.

    Attributes:
        features_output: name of the tensor with the features; empty for the only output.
        scaling: scaling of pixels in [0, 255] to its input.
        image_size: height and width of its images in pixels; None for those that the graph states.
        pooling: see `Pooling`; without effect on a network that returns a vector or a map.
    """

    features_output: str = ""
    scaling: OwnScaling = "torch"
    image_size: int | None = None
    pooling: Pooling = "mean"


@dataclasses.dataclass(frozen=True)
class _Input:
    """The input of the network: its name, element type, image size, and whether channels come first."""

    name: str
    element_type: int
    image_size: int
    channels_first: bool


def adapt_network(model: onnx.ModelProto, options: FeatureNetworkOptions, batch: int | str) -> onnx.ModelProto:
    """Adapt a feature network.

    Args:
        model: a self-contained graph of standard operators.
        batch: number of images that the result takes at a time: 1, or a name for any number.

    Raises:
        ConfigError: an option does not fit the network; the message names what does.
        ModelError: the network is none of features.
    """
    _check_opset(model)
    found = _input_of(model.graph, options.image_size)
    output = _features_output(model.graph, options.features_output)
    raw = _with_pixels(model, found, output, options.scaling)
    shape = _shape_of_one(raw, found.image_size)
    return _with_features(_with_batch(raw, batch, found.image_size), shape, options.pooling, found.channels_first)


def image_size_of(model: onnx.ModelProto) -> int:
    """Height and width of the images of an adapted network, in pixels."""
    return int(model.graph.input[0].type.tensor_type.shape.dim[1].dim_value)


def _check_opset(model: onnx.ModelProto) -> None:
    versions = {one.domain: one.version for one in model.opset_import}
    version = versions.get("", versions.get("ai.onnx", 0))
    if version < _OLDEST_OPSET:
        raise ModelError(
            f"expected operator set {_OLDEST_OPSET} or later, found {version}. Export the network again with operator "
            "set 17."
        )


def _input_of(graph: onnx.GraphProto, requested_size: int | None) -> _Input:
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = listed([quoted(value.name) for value in inputs], ", ", _MAX_SHOWN)
        raise ModelError(f"expected a network with one input, the image, found {len(inputs)}: {names}")
    [value] = inputs
    tensor = value.type.tensor_type
    sizes = [dimension.dim_value or None for dimension in tensor.shape.dim]
    if len(sizes) != 4 or (sizes[1] == 3) == (sizes[3] == 3) or tensor.elem_type not in _ELEMENT_TYPES:
        raise ModelError(
            f"expected the input {quoted(value.name)} to be images float32 (n, 3, height, width) or (n, height, width, "
            f"3), found {_type_name(tensor.elem_type)} {tuple(size or '?' for size in sizes)}"
        )
    channels_first = sizes[1] == 3
    height, width = (sizes[2], sizes[3]) if channels_first else (sizes[1], sizes[2])
    stated = {size for size in (height, width) if size is not None}
    if len(stated) > 1:
        raise ModelError(f"expected a network of square images, found one of {height} x {width} pixels")
    if not stated and requested_size is None:
        raise ConfigError("image size: expected a number of pixels, because the network takes images of any size")
    size = next(iter(stated), requested_size) or 0
    if requested_size not in (None, size):
        raise ConfigError(f"image size: expected {size}, that of the network, received {requested_size}")
    return _Input(value.name, tensor.elem_type, size, channels_first)


def _features_output(graph: onnx.GraphProto, requested: str) -> str:
    outputs = [value.name for value in graph.output]
    if requested:
        if requested not in {name for node in graph.node for name in node.output}:
            raise ConfigError(
                f"features output: expected the name of a tensor of the network, received {quoted(requested)}. Its "
                f"outputs: {listed([quoted(name) for name in outputs], ', ', _MAX_SHOWN)}"
            )
        return requested
    if len(outputs) != 1:
        raise ConfigError(
            "features output: expected the name of one of the outputs of the network: "
            f"{listed([quoted(name) for name in outputs], ', ', _MAX_SHOWN)}"
        )
    return outputs[0]


def _with_pixels(model: onnx.ModelProto, found: _Input, output: str, scaling: OwnScaling) -> onnx.ModelProto:
    """The nodes that an output needs, after nodes that scale uint8 pixels; the output is renamed to `_RAW`."""
    if found.element_type == TensorProto.UINT8 and scaling != "none":
        raise ConfigError(f"scaling: expected none for a network that takes uint8 pixels, received {scaling}")
    needed = list(_needed_nodes(model.graph, output))
    names = {output: _RAW}
    adapted = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph = adapted.graph
    graph.name = "backbone"
    graph.node.extend(_scaling_nodes(graph, found, scaling, _INSIDE + found.name))
    for node in needed:
        copy = graph.node.add()
        copy.CopyFrom(node)
        copy.input[:] = [names.get(name, _INSIDE + name) if name else "" for name in node.input]
        copy.output[:] = [names.get(name, _INSIDE + name) if name else "" for name in node.output]
        copy.ClearField("doc_string")
    used = {name for node in graph.node for name in node.input}
    for tensor in model.graph.initializer:
        if _INSIDE + tensor.name in used:
            copy_of = graph.initializer.add()
            copy_of.CopyFrom(tensor)
            copy_of.name = _INSIDE + tensor.name
    graph.output.append(onnx.ValueInfoProto(name=_RAW))
    return _with_batch(adapted, 1, found.image_size)


def _needed_nodes(graph: onnx.GraphProto, output: str) -> Iterator[onnx.NodeProto]:
    """The nodes that a tensor depends on, in their order."""
    needed, kept = {output}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    return reversed(kept)


def _scaling_nodes(graph: onnx.GraphProto, found: _Input, scaling: OwnScaling, name: str) -> Iterator[onnx.NodeProto]:
    """Nodes from `image` to the input of the network; their constants are added to the graph."""
    last = IMAGE
    if found.element_type != TensorProto.UINT8:
        yield helper.make_node("Cast", [IMAGE], ["scaling/pixels"], to=TensorProto.FLOAT)
        last = "scaling/pixels"
        factor, offset = factor_and_offset(scaling)
        for operator, value in (("Mul", factor), ("Add", offset)):
            constant, result = f"scaling/{operator.lower()}", f"scaling/after_{operator.lower()}"
            by_channel = np.full(3, value, np.float32)
            graph.initializer.append(numpy_helper.from_array(by_channel, constant))
            yield helper.make_node(operator, [last, constant], [result])
            last = result
        if found.element_type == TensorProto.FLOAT16:
            yield helper.make_node("Cast", [last], ["scaling/half"], to=TensorProto.FLOAT16)
            last = "scaling/half"
    if found.channels_first:
        yield helper.make_node("Transpose", [last], [name], perm=[0, 3, 1, 2])
    else:
        yield helper.make_node("Identity", [last], [name])


def _with_batch(model: onnx.ModelProto, batch: int | str, size: int) -> onnx.ModelProto:
    """A copy whose images have a fixed or a free batch size."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.input[:]
    copy.graph.input.append(helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, [batch, size, size, 3]))
    return copy


def _shape_of_one(model: onnx.ModelProto, size: int) -> tuple[int, ...]:
    """Shape of the output of the network for one image."""
    [values] = _outputs(model, _RAW, _images(1, size))
    if values.ndim not in (2, 3, 4) or len(values) != 1:
        raise ModelError(
            "expected features (n, features), (n, positions, features), or a map of them, found an output of the shape "
            f"{values.shape} for one image. Name another tensor as the features output."
        )
    return values.shape


def _with_features(
    model: onnx.ModelProto, shape: tuple[int, ...], pooling: Pooling, channels_first: bool
) -> onnx.ModelProto:
    """Replace the output by `features` and `feature_map`."""
    graph = model.graph
    constants: dict[str, Iterable[int]] = {"pooling/positions": [1, 2]}
    pixels, channels = "pooling/float", shape[-1]
    nodes = [helper.make_node("Cast", [_RAW], [pixels], to=TensorProto.FLOAT)]
    if len(shape) == 4:
        if _is_channels_first(shape, channels_first):
            nodes.append(helper.make_node("Transpose", [pixels], [FEATURE_MAP], perm=[0, 2, 3, 1]))
            channels = shape[1]
        else:
            nodes.append(helper.make_node("Identity", [pixels], [FEATURE_MAP]))
        nodes.append(_mean(model, FEATURE_MAP, FEATURES, "pooling/positions", [1, 2]))
    elif len(shape) == 3 and pooling == "mean":
        # Tokens that are no part of the image come first.
        side = math.isqrt(shape[1])
        others = shape[1] - side * side
        height, width = (side, side) if others <= _MAX_OTHER_TOKENS else (1, shape[1])
        constants |= {"pooling/begin": [shape[1] - height * width], "pooling/end": [shape[1]], "pooling/axis": [1]}
        constants |= {"pooling/map": [-1, height, width, channels]}
        part = [pixels, "pooling/begin", "pooling/end", "pooling/axis"]
        nodes.append(helper.make_node("Slice", part, ["pooling/tokens"]))
        nodes.append(helper.make_node("Reshape", ["pooling/tokens", "pooling/map"], [FEATURE_MAP]))
        nodes.append(_mean(model, FEATURE_MAP, FEATURES, "pooling/positions", [1, 2]))
    else:
        if len(shape) == 3:
            constants |= {"pooling/begin": [0], "pooling/end": [1], "pooling/axis": [1]}
            part = [pixels, "pooling/begin", "pooling/end", "pooling/axis"]
            nodes.append(helper.make_node("Slice", part, ["pooling/token"]))
            nodes.append(helper.make_node("Squeeze", ["pooling/token", "pooling/axis"], [FEATURES]))
        else:
            nodes.append(helper.make_node("Identity", [pixels], [FEATURES]))
        nodes.append(helper.make_node("Unsqueeze", [FEATURES, "pooling/positions"], [FEATURE_MAP]))
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    graph.initializer.extend(
        numpy_helper.from_array(np.array(values, np.int64), name) for name, values in constants.items() if name in used
    )
    del graph.output[:]
    batch = graph.input[0].type.tensor_type.shape.dim[0].dim_value or "n"
    graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, [batch, channels]))
    graph.output.append(
        helper.make_tensor_value_info(FEATURE_MAP, TensorProto.FLOAT, [batch, "height", "width", channels])
    )
    return model


def _is_channels_first(shape: tuple[int, ...], default: bool) -> bool:
    """Whether a map has its channels before its height and width, which are equal."""
    first, last = shape[2] == shape[3], shape[1] == shape[2]
    return first if first != last else default


def _mean(model: onnx.ModelProto, source: str, result: str, constant: str, axes: list[int]) -> onnx.NodeProto:
    """A node of the mean over axes, which are its input or attribute by the operator set."""
    version = max(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    if version >= _REDUCE_MEAN_WITH_INPUT:
        return helper.make_node("ReduceMean", [source, constant], [result], keepdims=0)
    return helper.make_node("ReduceMean", [source], [result], axes=axes, keepdims=0)


def takes_batches(model: onnx.ModelProto) -> bool:
    """Whether the features of an image do not depend on the others in its batch."""
    images = _images(2, image_size_of(model))
    try:
        together, *singly = _outputs(model, FEATURES, images, *(image[None] for image in images))
    except ModelError:
        return False
    one_by_one = np.concatenate(singly)
    return together.shape == one_by_one.shape and np.allclose(together, one_by_one, rtol=1e-3, atol=1e-4)


def count_features(model: onnx.ModelProto) -> int:
    """Number of features of an adapted network, which must be finite and depend on the image.

    Raises:
        ModelError: they are not, or cannot be computed.
    """
    first, second = _outputs(model, FEATURES, *(image[None] for image in _images(2, image_size_of(model))))
    count = int(first.shape[-1])
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ModelError("expected finite features, found some that are not: check the scaling")
    if np.allclose(first, second, rtol=1e-4, atol=1e-6):
        raise ModelError("expected features that depend on the image, found the same for two images")
    if not 2 <= count <= _MAX_FEATURES:
        raise ModelError(f"expected 2 to {_MAX_FEATURES:,} features, found {count:,}")
    return count


def _images(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def _outputs(model: onnx.ModelProto, name: str, *batches: np.ndarray) -> list[np.ndarray]:
    """An output for each of some batches of images."""
    try:
        session = open_session(model.SerializeToString())
        return [session.run([name], {IMAGE: images})[0] for images in batches]
    # ONNX Runtime raises classes of its own.
    except Exception as error:
        raise ModelError(f"expected a network that can run, received: {quoted(without_number(error))}") from error


def _type_name(element_type: int) -> str:
    return onnx.TensorProto.DataType.Name(element_type).lower()
