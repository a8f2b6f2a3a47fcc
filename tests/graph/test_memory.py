"""What the tensors of a graph need at one time, by hand."""

import numpy as np

from edgeseg.graph.graph import Graph
from edgeseg.graph.memory import tensor_bytes
from tests.kit.hand_made import SHAPE, graph, node

SIZE = 4 * int(np.prod(SHAPE))


def of(*nodes, **constants):
    return tensor_bytes(Graph(graph(list(nodes), constants=constants)))


def test_a_chain_needs_two_tensors_at_a_time():
    chain = [
        node("Relu", ["x"], "a"),
        node("Relu", ["a"], "b", "r2"),
        node("Relu", ["b"], "y", "r3"),
    ]
    assert of(*chain) == 2 * SIZE


def test_a_tensor_that_is_read_later_stays():
    nodes = [
        node("Relu", ["x"], "a"),
        node("Relu", ["a"], "b", "r2"),
        node("Relu", ["b"], "c", "r3"),
        node("Add", ["a", "c"], "y"),
    ]
    assert of(*nodes) == 3 * SIZE


def test_constants_do_not_count():
    assert of(node("Add", ["x", "c"], "y"), c=np.ones(SHAPE, np.float32)) == 2 * SIZE
