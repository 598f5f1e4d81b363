"""The canonical form of graphs: equal for graphs that differ in names and order, with equal results."""

import random
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from model.features.canonical_graph import make_canonical
from model.features.divided_network import backbone_checksum
from model.features.onnx_session import FEATURES
from tests.support.feature_networks import convolutional, transformer


def _shared() -> onnx.ModelProto:
    """Tensors and weights with several uses, an absent optional input, two outputs of a node, and unused parts."""
    weights = {name: np.arange(4, dtype=np.float32) + rank for rank, name in enumerate(("a", "b", "unused"))}
    weights["high"] = np.float32(5)
    nodes = [
        helper.make_node("Mul", ["image", "a"], ["scaled"]),
        helper.make_node("Add", ["scaled", "b"], ["shifted"]),
        helper.make_node("Add", ["scaled", "a"], ["other"]),
        helper.make_node("Clip", ["shifted", "", "high"], ["clipped"]),
        helper.make_node("TopK", ["other", "count"], ["largest", "places"], axis=1, largest=1),
        helper.make_node("Cast", ["places"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["largest", "numbers", "clipped"], [FEATURES], axis=1),
        helper.make_node("Relu", ["shifted"], ["no_output_depends_on_it"]),
        helper.make_node("Relu", ["clipped"], ["feature_map"]),
    ]
    tensors = [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()]
    tensors.append(numpy_helper.from_array(np.array([2]), "count"))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 4])
    outputs = [onnx.ValueInfoProto(name=name) for name in (FEATURES, "feature_map")]
    graph = helper.make_graph(nodes, "shared", [image], outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


GRAPHS: dict[str, Callable[[], onnx.ModelProto]] = {
    "shared": _shared,
    "convolutional": convolutional,
    "transformer": transformer,
}


def _disguised(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """The same graph with other names, and its nodes, constants and attributes in another valid order."""
    rng = random.Random(seed)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    fixed = {"", *(value.name for value in (*graph.input, *graph.output))}
    inner = sorted({name for node in graph.node for name in (*node.input, *node.output)} - fixed)
    # Some are names of the canonical form, of something else.
    drawn = [f"{kind}_{number}{end}" for number in range(99) for kind, end in (("constant", ""), ("Add", ":0"))]
    names = dict(zip(inner, rng.sample(drawn, len(inner)), strict=True))
    waiting, ready = (
        list(graph.node),
        {value.name for value in graph.input} | {"", *(t.name for t in graph.initializer)},
    )
    ordered = []
    while waiting:
        node = rng.choice([node for node in waiting if ready.issuperset(node.input)])
        waiting.remove(node)
        ready.update(node.output)
        ordered.append(node)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
    for node in nodes:
        node.name, node.doc_string = f"node {rng.random()}", "a description"
        attributes = rng.sample(list(node.attribute), len(node.attribute))
        copies = [onnx.AttributeProto.FromString(one.SerializeToString()) for one in attributes]
        del node.attribute[:]
        node.attribute.extend(copies)
    tensors = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in graph.initializer]
    rng.shuffle(tensors)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)
    graph.doc_string = f"converted {seed}"
    _rename(graph, names)
    for value in (*graph.input, *graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = f"unknown_{seed}_{size.dim_param}"
    graph.value_info.append(helper.make_tensor_value_info(graph.node[0].output[0], TensorProto.FLOAT, None))
    return copy


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)


def _canonical(model: onnx.ModelProto) -> bytes:
    make_canonical(model.graph)
    return bytes(model.SerializeToString())


def _results(content: bytes) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    [given] = session.get_inputs()
    shape = [size if isinstance(size, int) else 3 for size in given.shape]
    return session.run(None, {given.name: np.random.default_rng(0).normal(size=shape).astype(np.float32)})


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_that_differ_in_names_and_order_have_one_canonical_form(name: str) -> None:
    original = GRAPHS[name]()
    before = _results(original.SerializeToString())
    expected = _canonical(GRAPHS[name]())
    for seed in range(5):
        assert _canonical(_disguised(original, seed)) == expected, seed
    for result, same in zip(before, _results(expected), strict=True):
        np.testing.assert_array_equal(result, same)


def test_names_of_inputs_and_outputs_are_kept_and_unused_parts_removed() -> None:
    model = _shared()
    make_canonical(model.graph)
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == [FEATURES, "feature_map"]
    assert len(model.graph.node) == 8 and len(model.graph.initializer) == 4
    assert _canonical(model) == _canonical(_shared())


def test_an_input_with_a_canonical_name_keeps_it() -> None:
    model = convolutional()
    _rename(model.graph, {"pixel_values": "constant_0"})
    model.graph.input[0].name = "constant_0"
    for result, same in zip(_results(_canonical(model)), _results(_canonical(convolutional())), strict=True):
        np.testing.assert_array_equal(result, same)


def test_a_graph_with_subgraphs_is_left_as_it_is() -> None:
    model = _shared()
    branch = helper.make_graph(
        [helper.make_node("Identity", ["shifted"], ["chosen"])], "branch", [], [onnx.ValueInfoProto(name="chosen")]
    )
    model.graph.node.append(helper.make_node("If", ["condition"], ["found"], then_branch=branch, else_branch=branch))
    before = model.SerializeToString()
    make_canonical(model.graph)
    assert model.SerializeToString() == before


def test_the_checksum_of_a_backbone_depends_on_its_weights_and_not_on_names() -> None:
    expected = backbone_checksum(_shared().SerializeToString())
    assert backbone_checksum(_disguised(_shared(), 1).SerializeToString()) == expected
    changed = _shared()
    changed.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones(4, np.float32), "a"))
    assert backbone_checksum(changed.SerializeToString()) != expected
