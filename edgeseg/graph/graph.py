"""One view of an ONNX graph: its nodes, and the type, shape, producer and readers of each tensor.

Nodes and tensors are those of onnx_ir: `node.inputs`, `node.outputs`, `tensor.producer()`,
`tensor.uses()`. A graph that is read here is not changed in place: `to_proto` returns the changed
copy. Only the main graph is seen; edgeseg's graphs have no others (no If, no Loop).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import ModelProto
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass


class Graph:
    """The main graph of a model. Every node has a name of its own."""

    def __init__(self, model: ModelProto) -> None:
        self.model = ir.from_proto(model)
        ShapeInferencePass(check_type=False, strict_mode=False, data_prop=False)(self.model)
        self.by_name = {name_of(node): node for node in self.model.graph}
        assert len(self.by_name) == len(self.model.graph), "two nodes share a name"

    @property
    def nodes(self) -> list[ir.Node]:
        """The nodes in order: a list of its own, so that a loop over it may change the graph."""
        return list(self.model.graph)

    @property
    def inputs(self) -> list[ir.Value]:
        """The input tensors."""
        return list(self.model.graph.inputs)

    @property
    def outputs(self) -> list[ir.Value]:
        """The output tensors."""
        return list(self.model.graph.outputs)

    @property
    def opset(self) -> int:
        """The version of ONNX's own operator set."""
        imports = self.model.graph.opset_imports
        return imports[""] if "" in imports else imports["ai.onnx"]

    def of(self, *operations: str) -> Iterator[ir.Node]:
        """Yield the nodes of some operations, in order."""
        return (node for node in self.nodes if node.op_type in operations)

    def convolutions(self) -> list[ir.Node]:
        """Return the convolutions with constant weights, in order."""
        return [n for n in self.of("Conv") if n.inputs[1] and n.inputs[1].is_initializer()]

    def tensors(self) -> dict[str, ir.Value]:
        """Return every tensor by name: inputs, constants, and what the nodes write."""
        return ir.convenience.create_value_mapping(self.model.graph)

    def add_constant(self, name: str, values: NDArray[Any]) -> ir.Value:
        """Return the constant of this name; add it where there is none."""
        constants = self.model.graph.initializers
        if name not in constants:
            tensor = ir.tensor(np.ascontiguousarray(values).reshape(values.shape), name=name)
            kind, size = ir.TensorType(tensor.dtype), ir.Shape(values.shape)
            constants.add(ir.Value(name=name, type=kind, shape=size, const_value=tensor))
        return constants[name]

    def add_node(
        self,
        operation: str,
        inputs: list[ir.Value | None],
        name: str,
        *,
        before: ir.Node,
        **attributes: Any,
    ) -> ir.Value:
        """Insert a node before another one; return the tensor that it writes, of the same name."""
        output = ir.Value(name=name)
        node = ir.node(operation, inputs, attributes, outputs=[output], name=name)
        self.model.graph.insert_before(before, node)
        self.by_name[name] = node
        return output

    def to_proto(self) -> ModelProto:
        """Return the graph as a checked model with inferred types and shapes.

        Nodes and constants that no output depends on are left out. Errors of `onnx` pass.
        """
        RemoveUnusedNodesPass()(self.model)
        model = ir.to_proto(self.model)
        del model.graph.value_info[:]  # as they were when the graph was read
        onnx.checker.check_model(model)
        return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)


def name_of(item: ir.Node | ir.Value) -> str:
    """Return the name of a node or tensor."""
    assert item.name, "nodes and tensors of an exported graph have names"
    return item.name


def operation(tensor: ir.Value | None) -> str:
    """Return the operation that writes a tensor; empty for inputs and constants."""
    node = tensor.producer() if tensor else None
    return node.op_type if node else ""


def constant(tensor: ir.Value | None) -> NDArray[Any] | None:
    """Return a constant's values; None for a tensor that is computed or absent."""
    found = ir.convenience.get_const_tensor(tensor) if tensor else None
    return None if found is None else found.numpy()


def dtype(tensor: ir.Value | None) -> ir.DataType:
    """Return a tensor's type; UNDEFINED where it is unknown or the tensor is absent."""
    return (tensor.dtype if tensor else None) or ir.DataType.UNDEFINED


def shape(tensor: ir.Value | None) -> tuple[int, ...]:
    """Return a tensor's shape, 0 for a dynamic size; () where it is unknown or scalar."""
    dims = tensor.shape if tensor else None
    return tuple(d if isinstance(d, int) else 0 for d in dims or ())


def input_of(node: ir.Node, index: int) -> ir.Value | None:
    """Return an input; None where the node leaves it out."""
    return node.inputs[index] if index < len(node.inputs) else None


def attribute(node: ir.Node, name: str, default: Any) -> Any:
    """Return a node's attribute, or the default."""
    return node.attributes[name].value if name in node.attributes else default
