"""A typed ONNX graph as the rules read it: constants, types and shapes by the tensor's name.

Only the main graph is read; the graphs of edgeseg have no others (no If, no Loop).
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgeseg.machine.support import Release


@dataclass(frozen=True)
class Target:
    """What the graph is to be built by and for."""

    release: Release
    capability: str
    """`8.6`."""


@dataclass(frozen=True)
class Fault:
    """What was found and expected, and what to do about it."""

    problem: str
    remedy: str


class Graph:
    """The nodes of a model and what is known of their tensors."""

    def __init__(self, model: ModelProto) -> None:
        inferred = onnx.shape_inference.infer_shapes(model).graph
        self.nodes = list(model.graph.node)
        self.opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        self.inputs = list(model.graph.input)
        self.outputs = {tensor.name for tensor in model.graph.output}
        self.types: dict[str, int] = {}
        self.shapes: dict[str, list[int | None]] = {}
        for tensor in (*inferred.input, *inferred.value_info, *inferred.output):
            kind = tensor.type.tensor_type
            self.types[tensor.name] = kind.elem_type
            sizes = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
            self.shapes[tensor.name] = sizes
        self.constants: dict[str, TensorProto] = {i.name: i for i in model.graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = node.attribute[0].t
        for name, constant in self.constants.items():
            self.types[name] = constant.data_type
            self.shapes[name] = list(constant.dims)
        self.producers = {name: node for node in self.nodes for name in node.output}
        self.readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.readers[name].append(node)

    def of(self, *operations: str) -> Iterator[NodeProto]:
        """Yield the nodes of some operations, in order."""
        return (node for node in self.nodes if node.op_type in operations)

    def value(self, name: str) -> NDArray[Any] | None:
        """Return a constant's values; None for a tensor that is computed or absent."""
        constant = self.constants.get(name)
        return None if constant is None else numpy_helper.to_array(constant)

    def type_of(self, name: str) -> int:
        """Return a tensor's TensorProto type; UNDEFINED where inference does not reach."""
        return self.types.get(name, TensorProto.UNDEFINED)

    def is_constant(self, name: str) -> bool:
        """Whether a tensor follows from constants by rearranging, casting or quantizing."""
        if name in self.constants:
            return True
        node = self.producers.get(name)
        keeps = "Cast DequantizeLinear Identity QuantizeLinear Reshape Transpose".split()
        return node is not None and node.op_type in keeps and self.is_constant(node.input[0])


Rule = Callable[[Graph, Target], Iterator[Fault]]


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """Return a node's attribute as Python has it, or the default."""
    found = next((a for a in node.attribute if a.name == name), None)
    if found is None:
        return default
    value = helper.get_attribute_value(found)
    return value.decode() if isinstance(value, bytes) else value


def input_of(node: NodeProto, place: int) -> str:
    """Return the name of an input; empty where the node leaves it out."""
    return node.input[place] if place < len(node.input) else ""


def word(kind: int) -> str:
    """Return a type in words: `float16`."""
    return str(TensorProto.DataType.Name(kind)).lower() if kind else "an unknown type"


def bad_values(values: NDArray[Any], bad: NDArray[np.bool_]) -> str:
    """Say which values of an array break a rule: `0.0 (2 of 64 values)`."""
    first = float(values.reshape(-1)[bad.reshape(-1)][0])
    total = f" ({int(bad.sum())} of {values.size} values)" if values.size > 1 else ""
    return f"{first:g}{total}"
