"""The ONNX graph of a trained model in two parts: the backbone, which computes the features, and the head."""

import dataclasses
import hashlib
from collections.abc import Sequence

import onnx
from onnx import helper

from model.features.canonical_graph import has_subgraphs, make_canonical
from model.features.onnx_session import FEATURES, PROBABILITIES


@dataclasses.dataclass(frozen=True)
class DividedNetwork:
    """A network in two parts.

    Attributes:
        backbone: checksum of the part from images to features: equal for equal backbones, in hexadecimal.
        head: ONNX graph of the part from features to probabilities.
    """

    backbone: str
    head: bytes


def divide_network(network: bytes) -> DividedNetwork | None:
    """Divide the content of an ONNX file; None if its probabilities do not follow from its features only."""
    model = onnx.load_model_from_string(network)
    graph = model.graph
    outputs = {output.name for output in graph.output}
    if not {FEATURES, PROBABILITIES} <= outputs or has_subgraphs(graph) or graph.sparse_initializer:
        return None
    head, head_constants = _needed_for(graph, PROBABILITIES, FEATURES)
    given = {value.name for value in graph.input}
    if any(name in given for node in head for name in node.input):
        return None
    content = _head_graph(model, head, head_constants)
    return DividedNetwork(_backbone_digest(model), content)


def backbone_checksum(network: bytes) -> str:
    """Checksum of the part from images to features, see `DividedNetwork.backbone`, of a network with any outputs."""
    return _backbone_digest(onnx.load_model_from_string(network))


def _needed_for(
    graph: onnx.GraphProto, output: str, known: str = ""
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes and constants from which an output is computed, in the order of the graph.

    Args:
        known: a tensor that is given, so that nothing before it is needed.
    """
    needed, nodes = {output}, []
    for node in reversed(graph.node):
        # An empty name stands for an optional input or output that is absent.
        if needed & (set(node.output) - {known, ""}):
            nodes.append(node)
            needed.update(node.input)
    return nodes[::-1], [tensor for tensor in graph.initializer if tensor.name in needed]


def _backbone_digest(model: onnx.ModelProto) -> str:
    """Checksum of the part from images to features; reduces the model to it, in place."""
    graph = model.graph
    del graph.output[:]
    graph.output.add(name=FEATURES)
    # Names differ between converters, and do not change the features.
    make_canonical(graph)
    digest = hashlib.sha256(f"ir {model.ir_version}".encode())
    for part in (*model.opset_import, *model.functions, *graph.input, *graph.node, *graph.initializer):
        content = part.SerializeToString(deterministic=True)
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def _head_graph(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], tensors: Sequence[onnx.TensorProto]) -> bytes:
    outputs = {value.name: value for value in model.graph.output}
    graph = helper.make_graph(nodes, "head", [outputs[FEATURES]], [outputs[PROBABILITIES]], tensors)
    head = helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version, functions=model.functions
    )
    content: bytes = head.SerializeToString()
    return content
