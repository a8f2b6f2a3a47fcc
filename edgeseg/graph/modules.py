"""The network module that each node of a graph belongs to, and its multiply-accumulates.

The modules are teacher, student, similarity (of their features), head, and rest: pre- and
post-processing. The exporter names convolutions after their module (`student.layer3.0.conv1`); the
module of any other node follows from what it reads. MACs are counted from shapes: Conv, MatMul,
Gemm.
"""

from collections.abc import Iterable
from math import prod
from typing import Literal

import onnx_ir as ir

from edgeseg.errors import ModelError
from edgeseg.graph.graph import Graph, attribute, name_of, shape

Module = Literal["teacher", "student", "similarity", "head", "rest"]
MODULES: tuple[Module, ...] = ("teacher", "student", "similarity", "head", "rest")
NAMED: tuple[Module, ...] = ("teacher", "student", "head")
_STRENGTH: tuple[Module, ...] = ("rest", "teacher", "student", "similarity", "head")

NORM = "ReduceL2"


def node_modules(graph: Graph) -> dict[str, Module]:
    """Return the module of each node.

    similarity: from the norms, or where teacher and student meet, to the head's first module; in a
    graph without a head to the sums over channels. rest: before teacher and student (the network
    input is the last tensor of it), and after the head's last module or those sums. A node that
    reads constants only belongs to the module of its reader.
    """
    own = {n: m for n in graph.nodes for m in NAMED if name_of(n).startswith(f"{m}.")}
    before_head = _ancestors(graph, {node for node, module in own.items() if module == "head"})
    tensors: dict[ir.Value | None, Module] = dict.fromkeys(graph.inputs, "rest")
    found: dict[ir.Node, Module] = {}
    for node in graph.nodes:
        inputs = {tensors[tensor] for tensor in node.inputs if tensor in tensors}
        if not inputs:
            continue
        module = own.get(node) or _continued(node, inputs)
        if module == "head" and node not in own and node not in before_head:
            module = "rest"
        summed = node.op_type == "ReduceSum" and node not in before_head
        found[node] = module
        after: Module = "rest" if summed and module == "similarity" else module
        tensors.update(dict.fromkeys(node.outputs, after))
    for node in reversed(graph.nodes):
        if node not in found:
            reader = next((user for out in node.outputs for user in out.consumers()), node)
            found[node] = own.get(node) or found.get(reader, "rest")
    return {name_of(node): found[node] for node in graph.nodes}


def module_of(tensor: ir.Value | None, modules: dict[str, Module]) -> Module:
    """Return the module of the node that writes a tensor; rest: an input of the graph."""
    node = tensor.producer() if tensor else None
    return modules[name_of(node)] if node else "rest"


def node_macs(graph: Graph) -> dict[str, int]:
    """Return the multiply-accumulates of one run, of each Conv, MatMul and Gemm."""
    return {name_of(node): _macs(node) for node in graph.of("Conv", "MatMul", "Gemm")}


def module_macs(graph: Graph) -> dict[Module, int]:
    """Return the multiply-accumulates of one run, of each module."""
    modules = node_modules(graph)
    macs = dict.fromkeys(MODULES, 0)
    for name, count in node_macs(graph).items():
        macs[modules[name]] += count
    return macs


def _continued(node: ir.Node, inputs: set[Module]) -> Module:
    if {"teacher", "student"} <= inputs or (node.op_type == NORM and inputs - {"rest", "head"}):
        return "head" if "head" in inputs else "similarity"
    return max(inputs, key=_STRENGTH.index)


def _ancestors(graph: Graph, nodes: Iterable[ir.Node]) -> set[ir.Node]:
    """Return the nodes from which one of the given ones is reached, those included."""
    found = set(nodes)
    for node in reversed(graph.nodes):
        if any(reader in found for out in node.outputs for reader in out.consumers()):
            found.add(node)
    return found


def _macs(node: ir.Node) -> int:
    output, first, second = (shape(t) for t in (node.outputs[0], *node.inputs[:2]))
    if not all(prod(sizes) and sizes for sizes in (output, first, second)):
        raise ModelError(
            f"shapes of {node.name} ({node.op_type}) are unknown: output {list(output)}, inputs "
            f"{list(first)} and {list(second)}",
            remedy="export again with edgeseg export, which writes static shapes",
            code="model/unknown-shapes",
        )
    if node.op_type == "Conv":
        return prod(output) * prod(second[1:])
    turned = node.op_type == "Gemm" and attribute(node, "transA", 0)
    return prod(output) * first[-2 if turned else -1]
