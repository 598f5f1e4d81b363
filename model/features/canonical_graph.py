"""Canonical form of an ONNX graph: equal bytes for graphs that differ in names and in the order of independent nodes.

Converters number names in the order in which they happen to work, which differs between processes.
"""

from collections.abc import Sequence

import onnx


def has_subgraphs(graph: onnx.GraphProto) -> bool:
    """Whether an operator has a graph of its own, such as a loop, which may use tensors of this one by name."""
    return any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute)


def make_canonical(graph: onnx.GraphProto) -> None:
    """Order nodes and initializers by their use, from the outputs on, and name them in this order, in place.

    The names of inputs and outputs are kept, and those of their free sizes numbered. What no output depends on is
    removed, and so are descriptions: texts, shapes of inner tensors, annotations of quantization. Results stay equal to
    the bit. A graph with subgraphs or sparse initializers is left as it is.
    """
    if has_subgraphs(graph) or graph.sparse_initializer:
        return
    ordered = _nodes_by_use(graph.node, [value.name for value in graph.output])
    kept = {value.name for value in (*graph.input, *graph.output)}
    constants = {tensor.name for tensor in graph.initializer}
    names = {"": "", **{name: name for name in kept}}
    node_names: dict[int, str] = {}
    constant_order: dict[str, int] = {}
    for rank, position in enumerate(ordered):
        node = graph.node[position]
        node_names[position] = f"{node.op_type}_{rank}"
        for name in node.input:
            if name in constants and name not in constant_order:
                constant_order[name] = len(constant_order)
                names.setdefault(name, _unused(f"constant_{constant_order[name]}", kept))
        for index, name in enumerate(node.output):
            names.setdefault(name, _unused(f"{node_names[position]}:{index}", kept))
    # An output may be an initializer itself.
    for value in graph.output:
        if value.name in constants:
            constant_order.setdefault(value.name, len(constant_order))
    _apply(graph, names, node_names, constant_order)


def _apply(
    graph: onnx.GraphProto, names: dict[str, str], node_names: dict[int, str], constant_order: dict[str, int]
) -> None:
    """Rename, sort and remove within the message: weights are not copied."""
    for position in reversed(range(len(graph.node))):
        node = graph.node[position]
        if position not in node_names:
            del graph.node[position]
            continue
        node.name = node_names[position]
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        node.attribute.sort(key=lambda attribute: attribute.name)
        node.ClearField("doc_string")
    ranks = {name: rank for rank, name in enumerate(node_names.values())}
    graph.node.sort(key=lambda node: ranks[node.name])
    for position in reversed(range(len(graph.initializer))):
        if graph.initializer[position].name not in constant_order:
            del graph.initializer[position]
    graph.initializer.sort(key=lambda tensor: constant_order[tensor.name])
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
        tensor.ClearField("doc_string")
    del graph.value_info[:], graph.quantization_annotation[:]
    graph.ClearField("doc_string")
    _number_free_sizes(graph)


def _number_free_sizes(graph: onnx.GraphProto) -> None:
    sizes: dict[str, str] = {}
    for value in (*graph.input, *graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = sizes.setdefault(size.dim_param, f"size_{len(sizes)}")


def _nodes_by_use(nodes: Sequence[onnx.NodeProto], outputs: Sequence[str]) -> list[int]:
    """Positions of the nodes that outputs depend on, each after those of its inputs: depth first, by the order of
    outputs and inputs only."""
    producers = {name: position for position, node in enumerate(nodes) for name in node.output if name}
    ordered: list[int] = []
    entered: set[int] = set()
    # A stack of (position, whether its inputs are done): networks are deeper than Python's recursion limit.
    stack = [(producers[name], False) for name in reversed(outputs) if name in producers]
    while stack:
        position, is_complete = stack.pop()
        if is_complete:
            ordered.append(position)
        elif position not in entered:
            entered.add(position)
            stack.append((position, True))
            stack.extend((producers[name], False) for name in reversed(nodes[position].input) if name in producers)
    return ordered


def _unused(name: str, kept: set[str]) -> str:
    while name in kept:
        name += "_"
    return name
