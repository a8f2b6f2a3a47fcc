"""The memory that the tensors of a graph need at one time.

A runtime may need less, where it fuses operations or works in place, and more for its own copies of
the weights. It grows with the frames and tiles of one inference, which the weights do not.
"""

from math import prod

import onnx_ir as ir

from edgeseg.graph.graph import Graph, dtype, shape


def tensor_bytes(graph: Graph) -> int:
    """Return the most bytes that inputs and results of nodes have at one time, without constants.

    A tensor lives from the node that writes it to the last one that reads it.
    """
    last: dict[ir.Value, int] = {}
    for place, node in enumerate(graph.nodes):
        for tensor in node.inputs:
            if tensor and not tensor.is_initializer():
                last[tensor] = place
    for tensor in graph.outputs:
        last[tensor] = len(graph.nodes)
    alive = {tensor: _bytes(tensor) for tensor in graph.inputs}
    now = most = sum(alive.values())
    for place, node in enumerate(graph.nodes):
        for tensor in node.outputs:
            alive[tensor] = _bytes(tensor)
            now += alive[tensor]
        most = max(most, now)
        for tensor in {*node.inputs, *node.outputs}:
            if tensor in alive and last.get(tensor, place) <= place:
                now -= alive.pop(tensor)
    return most


def _bytes(tensor: ir.Value) -> int:
    return int(prod(shape(tensor)) * dtype(tensor).itemsize)
