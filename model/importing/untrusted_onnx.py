"""Checks of an ONNX graph from an untrusted source: it must not refer to files or code of this machine.

A tensor of a graph may be stored in another file, which ONNX Runtime would read; a node may belong to a domain whose
operators come from a library. Both are refused, also in subgraphs: https://onnx.ai/onnx/repo-docs/IR.html.
"""

from collections.abc import Iterator
from pathlib import Path

import onnx

from model.errors import ModelError

_DOMAINS = frozenset({"", "ai.onnx"})


def check_untrusted_graph(path: Path) -> None:
    """Check that a graph contains all of its tensors, and only standard ONNX operators.

    Raises:
        ModelError: the graph contains anything else, or the file is not an ONNX graph.
    """
    try:
        graph = onnx.load(str(path), load_external_data=False)
    # The parser of protobuf raises classes of its own.
    except Exception as error:
        raise ModelError(
            f"{path.name}: expected an ONNX graph, received: {error}. Download the model again."
        ) from error
    problems = sorted(set(_problems(graph)))
    if problems:
        raise ModelError(
            f"{path.name}: expected a self-contained graph, found {'; '.join(problems[:5])}. It is not "
            "imported: ask its author for a model as Topgraft exports it."
        )


def _problems(model: onnx.ModelProto) -> Iterator[str]:
    if model.functions or model.training_info:
        yield "functions or training steps of its own"
    yield from _problems_of_graph(model.graph)


def _problems_of_graph(graph: onnx.GraphProto) -> Iterator[str]:
    tensors = [*graph.initializer]
    tensors += [part for sparse in graph.sparse_initializer for part in (sparse.values, sparse.indices)]
    for node in graph.node:
        if node.domain not in _DOMAINS or not onnx.defs.has(node.op_type, node.domain):
            yield f"the operator {node.domain or 'ai.onnx'}.{node.op_type}, which is not a standard ONNX operator"
        for attribute in node.attribute:
            tensors += [attribute.t, *attribute.tensors]
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                tensors += [sparse.values, sparse.indices]
            for subgraph in (attribute.g, *attribute.graphs):
                yield from _problems_of_graph(subgraph)
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            yield f"the tensor {tensor.name!r}, which is stored in another file"
