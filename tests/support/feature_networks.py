"""Small feature networks in ONNX, as other programs export them: a convolutional one, and a vision transformer."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 32
CHANNELS = 12
PATCHES = 16
"""Positions of the transformer: patches of 8 x 8 pixels."""


class _Builder:
    """A graph under construction: each call appends an operator and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(3)

    def constant(self, values: object, dtype: type = np.float32) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def random(self, *shape: int) -> str:
        return self.constant(self._rng.normal(0, shape[-1] ** -0.5, shape))

    def __call__(self, kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        output = output or f"tensor_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def model(
        self, input_shape: Sequence[int | str], outputs: Sequence[str], opset: int, element_type: int
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("pixel_values", element_type, input_shape)],
            [onnx.ValueInfoProto(name=name) for name in outputs],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def convolutional(
    batch: int | str = "batch",
    size: int | str = SIZE,
    channels_first: bool = True,
    opset: int = 17,
    element_type: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A network with the outputs `map`, (n, channels, 4, 4) or (n, 4, 4, channels), and `pooled`, (n, channels)."""
    build = _Builder()
    pixels = "pixel_values"
    if element_type != TensorProto.FLOAT:
        pixels = build("Cast", pixels, to=TensorProto.FLOAT)
    if not channels_first:
        pixels = build("Transpose", pixels, perm=[0, 3, 1, 2])
    first = build("Relu", build("Conv", pixels, build.random(8, 3, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1]))
    second = build("Conv", first, build.random(CHANNELS, 8, 3, 3), strides=[4, 4], pads=[1, 1, 1, 1])
    found = build("Relu", second, output="map" if channels_first else "")
    build("Flatten", build("GlobalAveragePool", found), output="pooled")
    if not channels_first:
        build("Transpose", found, perm=[0, 2, 3, 1], output="map")
    shape = (batch, 3, size, size) if channels_first else (batch, size, size, 3)
    return build.model(shape, ["map", "pooled"], opset, element_type)


def transformer(batch: int | str = "batch", class_token: bool = True, opset: int = 17) -> onnx.ModelProto:
    """A block of a vision transformer with the output `last_hidden_state`, (n, tokens, channels).

    With a free batch it computes shapes from its input, as PyTorch exports it.
    """
    build = _Builder()
    patches = build("Conv", "pixel_values", build.random(CHANNELS, 3, 8, 8), strides=[8, 8])
    tokens = build("Transpose", build("Reshape", patches, build.constant([0, CHANNELS, -1], np.int64)), perm=[0, 2, 1])
    count = PATCHES
    if class_token:
        count += 1
        images = build("Gather", build("Shape", "pixel_values"), build.constant(0, np.int64), axis=0)
        wide = build("Unsqueeze", images, build.constant([0], np.int64))
        shape = build("Concat", wide, build.constant([1, CHANNELS], np.int64), axis=0)
        tokens = build("Concat", build("Expand", build.random(1, 1, CHANNELS), shape), tokens, axis=1)
    tokens = build("Add", tokens, build.random(1, count, CHANNELS))
    query, key, value = (build("MatMul", tokens, build.random(CHANNELS, CHANNELS)) for _ in range(3))
    scores = build("MatMul", query, build("Transpose", key, perm=[0, 2, 1]))
    attended = build("MatMul", build("Softmax", scores, axis=-1), value)
    mixed = build("Add", tokens, attended)
    build(
        "LayerNormalization",
        mixed,
        build.constant(np.ones(CHANNELS)),
        build.constant(np.zeros(CHANNELS)),
        output="last_hidden_state",
    )
    return build.model((batch, 3, SIZE, SIZE), ["last_hidden_state"], opset, TensorProto.FLOAT)
