"""What every rewrite of a graph ends with: its new nodes, their constants, a check."""

from collections.abc import Iterable, Sequence

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto


def replace_nodes(
    graph: GraphProto, nodes: Sequence[NodeProto], constants: Iterable[TensorProto] = ()
) -> None:
    """Give a graph other nodes, and of its constants and the new ones those that they read.

    The tensors' types and shapes go with the old nodes; `checked` finds them again.
    """
    used = {name for node in nodes for name in node.input}
    kept = [i for i in (*graph.initializer, *constants) if i.name in used]
    for field in (graph.node, graph.initializer, graph.value_info):
        del field[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)


def rebuilt(
    model: ModelProto, nodes: Sequence[NodeProto], constants: Iterable[TensorProto]
) -> ModelProto:
    """Return a checked copy of a model that has other nodes, those without a reader left out."""
    copy = ModelProto()
    copy.CopyFrom(model)
    replace_nodes(copy.graph, _needed(nodes, model.graph), constants)
    return checked(copy)


def _needed(nodes: Sequence[NodeProto], graph: GraphProto) -> list[NodeProto]:
    """Return the nodes from which an output of the graph is reached, in their order."""
    read = {output.name for output in graph.output}
    found = []
    for node in reversed(nodes):
        if not read.isdisjoint(node.output):
            read.update(node.input)
            found.append(node)
    return found[::-1]


def checked(model: ModelProto) -> ModelProto:
    """Return a rewritten model with the types and shapes of its tensors; onnx's errors pass."""
    onnx.checker.check_model(model)
    return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
