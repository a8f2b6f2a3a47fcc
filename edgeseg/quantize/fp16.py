"""FP32 to FP16, typed in the graph: the resize and what is between convolutions; the rest is FP32.

A strongly typed engine (TensorRT 10 and later, TensorRT-RTX) computes each node in the type that
the graph gives it, so the precision is decided here, once, for every runtime:

    frame -> cast | FP16: resize | normalize | FP16: convolutions ... | unit vectors, similarity |
    FP16: head | sigmoid, map, score, mask

At each bar stands one Cast per tensor and type. The unit vectors stay FP32: a sum of squares over
256 channels overflows FP16 at a mean magnitude of 16, and an epsilon of 1e-12 becomes 0, which
turns a black frame into NaN. Means stay FP32 because of the same sum. Of the resize
(`model/pixels/resize.py`) FP16 holds the bytes exactly and the sums, up to 255, to 1/16.
"""

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import ModelProto

from edgeseg.graph.graph import Graph, constant, name_of

ALLOWED = frozenset(
    "Add Clip Concat Conv Expand HardSigmoid HardSwish LeakyRelu MatMul MaxPool Mul Pad Relu "
    "Reshape Resize Sigmoid Transpose".split()
)
"""The operations that lose nothing in FP16; between convolutions only."""
PAIRED = frozenset(("Add", "Mul"))
"""FP16 only if both inputs are: a constant, or the result of an FP32 node, keeps them FP32."""
RESIZE = "resize."
"""How the names of the products begin that resize a frame."""
ADDED_UP = frozenset("Add Gather MatMul Reshape Transpose".split())
"""What the resize consists of, after the first product."""
QUANTIZERS = frozenset(("QuantizeLinear", "DequantizeLinear"))
"""Always FP16, with FP16 scales: TensorRT wants a scale in the type of what it scales."""
MAX = float(np.finfo(np.float16).max)
TINY = float(np.finfo(np.float16).smallest_normal)


def to_fp16(model: ModelProto, *, keep: frozenset[str] = frozenset()) -> ModelProto:
    """Return the graph with its convolutional parts in FP16; inputs, outputs, metadata stay.

    keep: names of nodes that stay in FP32.
    """
    graph = Graph(model)
    retype(graph, keep)
    return graph.to_proto()


def half_nodes(model: ModelProto, keep: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return the names of the nodes that compute in FP16, without those to `keep` in FP32."""
    return frozenset(name_of(node) for node in _half(Graph(model))) - keep


def resize_nodes(model: ModelProto) -> frozenset[str]:
    """Return the names of the nodes that resize a frame.

    ONNX Runtime has no FP16 products for CPUs: it would convert the frame there and back.
    """
    return frozenset(name_of(node) for node in _resize(Graph(model)))


def retype(graph: Graph, keep: frozenset[str] = frozenset()) -> None:
    """Change a graph in place as `to_fp16` does."""
    half = {node for node in _half(graph) if node.name not in keep}
    tensors = {tensor for node in half for tensor in node.outputs}
    casts: dict[ir.Value, ir.Value] = {}

    def converted(tensor: ir.Value, reader: ir.Node) -> ir.Value:
        to_half = reader in half
        if (tensor in tensors) == to_half:
            return tensor
        if tensor not in casts:
            values = constant(tensor)
            new = f"{tensor.name}/{'fp16' if to_half else 'fp32'}"
            if values is None:
                kind = ir.DataType.FLOAT16 if to_half else ir.DataType.FLOAT
                casts[tensor] = graph.add_node("Cast", [tensor], new, before=reader, to=kind)
            elif values.dtype != np.float32:
                casts[tensor] = tensor
            else:
                casts[tensor] = graph.add_constant(new, values.astype(np.float16))
        return casts[tensor]

    for node in graph.nodes:
        for index, tensor in enumerate(node.inputs):
            sizes = node.op_type == "Resize" and index > 0  # FP32 or int64, whatever the data is
            if tensor and not sizes:
                node.replace_input_with(index, converted(tensor, node))


def _half(graph: Graph) -> set[ir.Node]:
    after = _reached(graph.nodes, forward=True)
    before = _reached(reversed(graph.nodes), forward=False)
    resize = _resize(graph)
    tensors: set[ir.Value | None] = set()  # FP16
    found = set()
    for node in graph.nodes:
        between = node.op_type == "Conv" or (node in after and node in before)
        paired = tensors.issuperset(node.inputs) or node.op_type not in PAIRED
        values = [constant(tensor) for tensor in node.inputs]
        fits = all(_fits(value) for value in values if value is not None)
        ends = any(tensor.is_graph_output() for tensor in node.outputs)
        plain = node.op_type in ALLOWED and between and paired and fits and not ends
        if plain or node.op_type in QUANTIZERS or node in resize:
            found.add(node)
            tensors.update(node.outputs)
    return found


def _resize(graph: Graph) -> set[ir.Node]:
    """Return the products that resize a frame, and what only adds up their results."""
    tensors: set[ir.Value | None] = set()
    found = set()
    for node in graph.nodes:
        data = [t for t in node.inputs if t and not (t.is_initializer() or constant(t) is not None)]
        if node.op_type in ADDED_UP and (
            name_of(node).startswith(RESIZE) or (data and tensors.issuperset(data))
        ):
            found.add(node)
            tensors.update(node.outputs)
    return found


def _reached(nodes: Iterable[ir.Node], *, forward: bool) -> set[ir.Node]:
    """Return the nodes after some convolution, or before one when walking backward."""
    tensors: set[ir.Value | None] = set()
    found = set()
    for node in nodes:
        sources, results = (node.inputs, node.outputs)[:: 1 if forward else -1]
        if not tensors.isdisjoint(sources):
            found.add(node)
        if node.op_type == "Conv" or node in found:
            tensors.update(tensor for tensor in results if tensor)
    return found


def _fits(constant: NDArray[np.generic]) -> bool:
    """Whether FP16 holds a constant: no overflow, and a scalar must not become 0.

    Among a convolution's thousands of weights some are always tiny; a single scalar is an epsilon.
    """
    if constant.dtype != np.float32:
        return True
    sizes = np.abs(constant)
    if sizes.max(initial=0.0) > MAX:
        return False
    return constant.size != 1 or not 0.0 < float(sizes.flat[0]) < TINY
