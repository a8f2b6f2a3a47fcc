"""The pooled branch of the head's pyramid as a bias: what is constant needs no convolution.

    before  mean -> p [N, C, 1, 1] -> expand [N, C, h, w] -> concatenate -> 3x3 convolution
    after   mean -> p -> product with a matrix: nine values for each output -> add to convolution

Inside the map all nine taps read p; at an edge three read the padding, in a corner five. So each
output has nine values, and a product with zeros and ones lays them out over the map, the outputs
last, as INT8's kernels have them. With 256 of 1024 channels and a map of 64 x 64 that is 2.4
billion multiply-accumulates less.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgeseg.graph.rewrite import rebuilt
from edgeseg.graph.wiring import Wiring, is_plain, tensor_shapes

SEEN = np.array([[0, 1, 1], [1, 1, 1], [1, 1, 0]], np.float32)
"""The taps of three that read the map: in its first row, in any between, in its last."""


@dataclass(frozen=True)
class _Place:
    """A fusion: the concatenation, its constant input, the convolution that alone reads it."""

    concat: NodeProto
    expand: NodeProto
    convolution: NodeProto
    first: int
    """The channel at which the constant input begins."""


def pooled(model: ModelProto) -> ModelProto:
    """Return the graph with its constant branch as a bias; the same object where there is none."""
    wiring = Wiring(model.graph)
    shapes = tensor_shapes(model)
    places = [p for n in wiring.convolutions() if (p := _found(n, wiring, shapes))]
    if not places:
        return model
    weights = {i.name: i for i in model.graph.initializer}
    by_name = {place.convolution.name: place for place in places}
    concats = {place.concat.name: place for place in places}
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    for node in model.graph.node:
        if node.name in concats:
            kept = [name for name in node.input if name != concats[node.name].expand.output[0]]
            nodes.append(helper.make_node("Concat", kept, node.output, node.name, axis=1))
        elif node.name in by_name:
            place = by_name[node.name]
            weight = np.asarray(numpy_helper.to_array(weights[node.input[1]]), np.float32)
            new_nodes, new_constants = _rewritten(place, weight, shapes)
            nodes += new_nodes
            constants += new_constants
        else:
            nodes.append(node)
    return rebuilt(model, nodes, constants)


def _found(
    convolution: NodeProto, wiring: Wiring, shapes: dict[str, tuple[int, ...]]
) -> _Place | None:
    """Return the place around a convolution, or None where it is not of this kind."""
    concat = wiring.producers.get(convolution.input[0])
    if concat is None or concat.op_type != "Concat" or not is_plain(convolution, shapes):
        return None
    constant = [k for k, name in enumerate(concat.input) if wiring.writer(name) == "Expand"]
    alone = wiring.readers[concat.output[0]] == [(convolution.name, 0)]
    three = shapes[convolution.input[1]][2:] == (3, 3)
    if len(constant) != 1 or len(concat.input) < 3 or not (alone and three):
        return None
    expand = wiring.producers[concat.input[constant[0]]]
    pooled_shape, map_shape = shapes[expand.input[0]], shapes[concat.output[0]]
    if pooled_shape[2:] != (1, 1) or pooled_shape[0] != map_shape[0] or min(map_shape[2:]) < 2:
        return None
    first = sum(shapes[name][1] for name in concat.input[: constant[0]])
    return _Place(concat, expand, convolution, first)


def _rewritten(
    place: _Place, weight: NDArray[np.float32], shapes: dict[str, tuple[int, ...]]
) -> tuple[list[NodeProto], list[TensorProto]]:
    """Return the nodes in the convolution's stead, which write what it wrote, and constants."""
    node, source = place.convolution, place.expand.input[0]
    n, channels = shapes[source][:2]
    outputs, (height, width) = weight.shape[0], shapes[place.concat.output[0]][2:]
    own = slice(place.first, place.first + channels)
    name = f"{node.name}/pooled"
    constants = {
        f"{node.name}/views/weight": np.delete(weight, own, axis=1),
        f"{name}/weight": _nine(weight[:, own]),
        f"{name}/regions": _regions(height, width),
        f"{name}/row": np.array([n, 1, 1, channels]),
        f"{name}/nine": np.array([n, 1, 9, outputs]),
        f"{name}/map": np.array([n, height, width, outputs]),
    }
    convolution = NodeProto()
    convolution.CopyFrom(node)
    convolution.input[1] = f"{node.name}/views/weight"
    convolution.output[0] = f"{node.name}/views"
    chain: list[tuple[str, list[str], str]] = [
        ("Reshape", [source, f"{name}/row"], "vector"),
        ("MatMul", [f"{name}/vector", f"{name}/weight"], "values"),
        ("Reshape", [f"{name}/values", f"{name}/nine"], "columns"),
        ("MatMul", [f"{name}/regions", f"{name}/columns"], "spread"),
        ("Reshape", [f"{name}/spread", f"{name}/map"], "last"),
    ]
    nodes = [
        helper.make_node(op, inputs, [f"{name}/{out}"], f"{name}/{out}")
        for op, inputs, out in chain
    ]
    bias = f"{name}/bias"
    nodes.append(helper.make_node("Transpose", [f"{name}/last"], [bias], bias, perm=[0, 3, 1, 2]))
    total = helper.make_node("Add", [convolution.output[0], bias], node.output, f"{name}/add")
    made = [numpy_helper.from_array(value, key) for key, value in constants.items()]
    return [*nodes, convolution, total], made


def _nine(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """[O, C, 3, 3] -> [C, 9 * O]: for each region of the map the sum of the taps that read it."""
    sums = np.einsum("ocij,ri,sj->crso", weight.astype(np.float64), SEEN, SEEN)
    return np.asarray(sums.reshape(weight.shape[1], -1), np.float32)


def _regions(height: int, width: int) -> NDArray[np.float32]:
    """[height * width, 9]: 1 where a position is of the region, else 0."""
    rows, columns = _thirds(height), _thirds(width)
    return np.asarray(np.einsum("ry,sx->yxrs", rows, columns).reshape(-1, 9))


def _thirds(length: int) -> NDArray[np.float32]:
    """[3, length]: the first position, those between, the last."""
    thirds = np.zeros((3, length), np.float32)
    thirds[0, 0] = thirds[2, -1] = 1
    thirds[1, 1:-1] = 1
    return thirds
