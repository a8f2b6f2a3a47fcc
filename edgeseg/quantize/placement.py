"""Which convolutions and tensors of a graph become INT8, and which of their readers read INT8.

TensorRT: both inputs of a convolution, and of a residual addition the skip connection alone, so
that convolution, addition, ReLU and the next quantization become one kernel. One Q/DQ pair serves
all readers of a tensor. All other operations keep their type: unit vectors, their similarity,
sigmoid, map and score.
Source: NVIDIA, TensorRT developer guide, "Q/DQ layer-placement recommendations".

CPU: both inputs of the addition, and each input of the head's concatenations, because ONNX Runtime
computes in INT8 only what stands between two pairs (OpenVINO is as fast either way). Also the
stems, which take half of the time on a CPU; a GPU has no INT8 kernel for three channels.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from edgeseg.config import Similarity
from edgeseg.graph.graph import Graph, attribute, name_of, operation, shape
from edgeseg.graph.modules import Module, module_of, node_modules

Processor = Literal["gpu", "cpu"]
Edge = tuple[str, int]
"""A reader of a tensor: the name of the node, the index of the input."""

Use = tuple[ir.Node, int]

INPUT_CHANNELS = 4  # at most, of what a stem reads
NARROW = 8  # output channels below which a convolution fills no INT8 kernel: the head's last has 1
LAID_OUT = "Transpose"  # writes the biases and interpolated levels of model/export_head.py: no skip
MEANS = ("ReduceMean", "GlobalAveragePool")


@dataclass(frozen=True)
class Placement:
    """What is quantized."""

    convolutions: tuple[str, ...]
    """Names of the convolutions that read INT8, in the graph's order."""
    edges: dict[str, tuple[Edge, ...]]
    """Tensor -> its readers that read INT8; the others read it as it was."""
    weights: tuple[str, ...]
    """The constants that become INT8, each once."""
    left: dict[str, str]
    """Convolutions that stay -> reason: stem, depthwise, output, pooled, similarity, kept."""


def place(
    graph: Graph,
    *,
    keep: frozenset[str] = frozenset(),
    similarity: Similarity = "kept",
    processor: Processor = "gpu",
) -> Placement:
    """Decide what is quantized.

    keep: names of convolutions that stay; similarity: whether the convolutions that read the
    similarity stay too.
    """
    modules = node_modules(graph)
    left = _left(graph, modules, similarity, processor) | dict.fromkeys(keep, "kept")
    taken = [node for node in graph.convolutions() if name_of(node) not in left]
    uses = [(node, 0) for node in taken]
    uses += _additions(graph, taken, both=processor == "cpu")
    if processor == "cpu":
        uses += _concatenations(graph, modules, taken)
    edges: dict[str, list[Edge]] = defaultdict(list)
    for node, index in uses:
        edges[_input(node, index)].append((name_of(node), index))
    return Placement(
        convolutions=tuple(name_of(node) for node in taken),
        edges={tensor: tuple(found) for tensor, found in edges.items()},
        weights=tuple(dict.fromkeys(_input(node, 1) for node in taken)),
        left=left,
    )


def measured(graph: Graph) -> dict[str, Module]:
    """Return the tensors whose ranges some placement needs, with the module of each."""
    modules, tensors = node_modules(graph), graph.tensors()
    processors: tuple[Processor, ...] = ("gpu", "cpu")
    names = {t for p in processors for t in place(graph, similarity="equalized", processor=p).edges}
    for concat in similarities(graph):
        names.update(name_of(level) for level in concat.inputs if level)  # for `equalize`
    return {name: module_of(tensors[name], modules) for name in sorted(names)}


def similarities(graph: Graph) -> list[ir.Node]:
    """Return the concatenations of similarity levels that only dense convolutions read."""
    modules = node_modules(graph)
    dense = {node for node in graph.convolutions() if _groups(node) == 1}
    return [
        node
        for node in graph.of("Concat")
        if modules[name_of(node)] == "similarity"
        and not node.outputs[0].is_graph_output()
        and dense.issuperset(node.outputs[0].consumers())
    ]


def _left(
    graph: Graph, modules: dict[str, Module], similarity: Similarity, processor: Processor
) -> dict[str, str]:
    """Return the convolutions that INT8 would spoil or not speed up, and why.

    Both holds for depthwise ones: one range per tensor is too coarse for most channels, since each
    has its own filter, and their time is spent on moving data. (A teacher with eleven of them: left
    in FP32, the mean error of the maps fell from 0.0077 to 0.0035.)
    """
    left = {}
    for node in graph.convolutions():
        name = name_of(node)
        outputs, inputs = shape(node.inputs[1])[:2]
        if processor == "gpu" and inputs * _groups(node) <= INPUT_CHANNELS:
            left[name] = "stem"
        elif _groups(node) > 1 and inputs == 1:
            left[name] = "depthwise"
        elif outputs < NARROW:
            left[name] = "output"
        elif operation(node.inputs[0]) in MEANS:
            left[name] = "pooled"
        elif similarity == "kept" and module_of(node.inputs[0], modules) == "similarity":
            left[name] = "similarity"
    return left


def _additions(graph: Graph, taken: list[ir.Node], *, both: bool) -> list[Use]:
    """Return the inputs of the additions after an INT8 convolution: both, or the skip connection.

    Where two convolutions meet, the addition is fused with the one at the end of the longer path,
    and the other is the skip. The output of a convolution that stays in floating point stays too.
    """
    found = []
    depths = _depths(graph)
    for node in graph.of("Add"):
        if any(tensor is None or tensor.is_initializer() for tensor in node.inputs):
            continue
        producers = [tensor.producer() if tensor else None for tensor in node.inputs]
        fused = [k for k, producer in enumerate(producers) if producer in taken]
        if not fused:
            continue
        branch = max(fused, key=lambda k: depths[node.inputs[k]])
        skip = operation(node.inputs[1 - branch])
        if skip == LAID_OUT and not both:
            continue
        if skip != "Conv" or producers[1 - branch] in taken:
            found += [(node, k) for k in (0, 1) if both or k != branch]
    return found


def _concatenations(graph: Graph, modules: dict[str, Module], taken: list[ir.Node]) -> list[Use]:
    """Return the inputs of the head's concatenations that an INT8 convolution reads."""
    return [
        (node, index)
        for node in graph.of("Concat")
        if modules[name_of(node)] == "head"
        and any(reader in taken for reader in node.outputs[0].consumers())
        for index in range(len(node.inputs))
    ]


def _depths(graph: Graph) -> dict[ir.Value | None, int]:
    """Return the number of convolutions on the longest path to each tensor."""
    depths: dict[ir.Value | None, int] = defaultdict(int)
    for node in graph.nodes:
        before = max((depths[tensor] for tensor in node.inputs), default=0)
        depths.update(dict.fromkeys(node.outputs, before + (node.op_type == "Conv")))
    return depths


def _groups(convolution: ir.Node) -> int:
    return int(attribute(convolution, "group", 1))


def _input(node: ir.Node, index: int) -> str:
    tensor = node.inputs[index]
    return name_of(tensor) if tensor else ""
