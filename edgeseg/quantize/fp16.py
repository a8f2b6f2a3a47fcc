"""FP32 to FP16, typed in the graph: what lies between convolutions computes in Half, no more.

A strongly typed engine (TensorRT 10 and later, TensorRT-RTX) computes each node in the type that
the graph gives it, so the precision is decided here, once, for every runtime:

    frame -> cast, resize, normalize | Half: convolutions ...  | unit vectors, product | Half: head
    head's logits | sigmoid, map, score, mask

The bars are the islands' borders, one Cast for each tensor and type. The unit vectors stay FP32: a
sum of squares over 256 channels overflows Half at a mean size of 16, and an epsilon of 1e-12 is 0,
which turns a black frame into NaN. Means stay FP32 for the same sum.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgeseg.graph.rewrite import checked, replace_nodes

ALLOWED = frozenset(
    "Add Clip Concat Conv Expand HardSigmoid HardSwish LeakyRelu MatMul MaxPool Mul Pad Relu "
    "Reshape Resize Sigmoid Transpose".split()
)
"""The operations that lose nothing in Half; between convolutions only."""
PAIRED = frozenset(("Add", "Mul"))
"""Half only where both inputs are: a constant, or an FP32 island's result, keeps them FP32."""
QUANTIZERS = frozenset(("QuantizeLinear", "DequantizeLinear"))
"""Always Half, with Half scales: TensorRT wants a scale in the type of what it scales."""
MAX = float(np.finfo(np.float16).max)
TINY = float(np.finfo(np.float16).smallest_normal)


def to_fp16(model: ModelProto, *, keep: frozenset[str] = frozenset()) -> ModelProto:
    """Return the graph with its convolutional parts in Half; inputs, outputs, metadata stay.

    keep: names of nodes that stay in FP32.
    """
    typed = ModelProto()
    typed.CopyFrom(model)
    halved = _Halved(typed.graph)
    nodes = list(halved.retype(typed.graph.node, half_nodes(model, keep)))
    replace_nodes(typed.graph, nodes, halved.constants.values())
    return checked(typed)


def half_nodes(model: ModelProto, keep: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return the names of the nodes that compute in Half, but for those to `keep` in FP32."""
    graph = model.graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    after = _reached(graph.node, forward=True)
    before = _reached(reversed(graph.node), forward=False)
    outputs = {output.name for output in graph.output}
    produced: set[str] = set()  # tensors in Half
    names = set()
    for node in graph.node:
        between = node.op_type == "Conv" or (node.name in after and node.name in before)
        paired = all(name in produced for name in node.input) or node.op_type not in PAIRED
        fits = all(_fits(constants[name]) for name in node.input if name in constants)
        ends = outputs.intersection(node.output)
        plain = node.op_type in ALLOWED and between and paired and fits and not ends
        if plain or node.op_type in QUANTIZERS:
            names.add(node.name)
            produced.update(node.output)
    return frozenset(names - keep)


def _reached(nodes: Iterable[NodeProto], *, forward: bool) -> set[str]:
    """Return the nodes after some convolution, or before one when walking backward."""
    tensors: set[str] = set()
    names = set()
    for node in nodes:
        sources, results = (node.input, node.output) if forward else (node.output, node.input)
        if tensors.intersection(sources):
            names.add(node.name)
        if node.op_type == "Conv" or node.name in names:
            tensors.update(results)
    return names


def _fits(constant: NDArray[np.generic]) -> bool:
    """Whether Half holds a constant: no overflow, and a scalar must not vanish.

    Among a convolution's thousands of weights some are always tiny; a lone scalar is an epsilon.
    """
    if constant.dtype != np.float32:
        return True
    sizes = np.abs(constant)
    if sizes.max(initial=0.0) > MAX:
        return False
    return constant.size != 1 or not 0.0 < float(sizes.flat[0]) < TINY


class _Halved:
    """What a graph needs at the borders: each constant once in Half, each Cast once."""

    def __init__(self, graph: GraphProto) -> None:
        self.originals = {i.name: i for i in graph.initializer}
        self.constants: dict[str, TensorProto] = {}
        self.tensors: set[str] = set()
        self.casts: dict[str, NodeProto] = {}

    def retype(self, nodes: Iterable[NodeProto], half: frozenset[str]) -> Iterator[NodeProto]:
        """Yield the nodes in order, rewired, each new Cast before its first reader."""
        for node in nodes:
            known = len(self.casts)
            convert = self._to_half if node.name in half else self._to_float
            for k, name in enumerate(node.input):
                sizes = node.op_type == "Resize" and k > 0  # Float or int64, whatever the data is
                if name and not sizes:
                    node.input[k] = convert(name)
            yield from list(self.casts.values())[known:]
            if node.name in half:
                self.tensors.update(node.output)
            yield node

    def _to_half(self, name: str) -> str:
        if name in self.tensors:
            return name
        if name not in self.originals:
            return self._cast(name, TensorProto.FLOAT16)
        if self.originals[name].data_type != TensorProto.FLOAT:
            return name
        if name not in self.constants:
            values = numpy_helper.to_array(self.originals[name]).astype(np.float16)
            self.constants[name] = numpy_helper.from_array(values, f"{name}/half")
        return self.constants[name].name

    def _to_float(self, name: str) -> str:
        return self._cast(name, TensorProto.FLOAT) if name in self.tensors else name

    def _cast(self, name: str, to: int) -> str:
        if name not in self.casts:
            new = f"{name}/{'half' if to == TensorProto.FLOAT16 else 'float'}"
            self.casts[name] = helper.make_node("Cast", [name], [new], new, to=to)
        return str(self.casts[name].output[0])
