"""Where INT8 begins and ends in a graph: which convolutions, which tensors, which readers.

For TensorRT: both inputs of a convolution, and of a residual addition the skip alone, so that
convolution, addition, rectifier and the next quantization become one kernel. One pair of
QuantizeLinear and DequantizeLinear serves all readers of a tensor. Whatever is no convolution
keeps its type: unit vectors, their product's arithmetic, sigmoid, map and score.
Source: NVIDIA, TensorRT developer guide, "Q/DQ layer-placement recommendations".

For a CPU: both inputs of the addition, and the head's concatenated views one by one. ONNX Runtime
computes in INT8 only what stands between two pairs; OpenVINO is as fast either way. And the stems,
which take half the time then, where a GPU has no kernel for three channels.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from onnx import ModelProto, NodeProto

from edgeseg.config import Similarity
from edgeseg.graph.wiring import Edge, Part, Wiring, groups, parts, products

Device = Literal["gpu", "cpu"]
Edges = dict[str, list[Edge]]

PICTURE = 4  # channels, at most, of what a stem reads
NARROW = 8  # outputs below which a convolution fills no INT8 kernel: the head's last, of one
LAID_OUT = "Transpose"  # writes what the exact rewrites add: a bias, and no skip
MEANS = ("ReduceMean", "GlobalAveragePool")


@dataclass(frozen=True)
class Placement:
    """What is quantized."""

    convolutions: tuple[str, ...]
    """Names of the convolutions that read INT8, in the graph's order."""
    edges: dict[str, tuple[Edge, ...]]
    """Tensor -> the readers that get it quantized; the others read it as it was."""
    weights: tuple[str, ...]
    """The constants that become INT8, each once."""
    left: dict[str, str]
    """Convolutions left alone -> why: stem, depthwise, output, pooled, product, kept."""


def place(
    model: ModelProto,
    *,
    keep: frozenset[str] = frozenset(),
    product: Similarity = "kept",
    device: Device = "gpu",
) -> Placement:
    """Decide what is quantized.

    keep: names of convolutions to leave alone; product: whether the convolutions that read the
    product of the unit vectors are left alone too.
    """
    wiring = Wiring(model.graph)
    part = parts(model)
    left = _left_alone(wiring, part, product, device) | dict.fromkeys(keep, "kept")
    taken = [node for node in wiring.convolutions() if node.name not in left]
    names = frozenset(node.name for node in taken)
    readers = [(node.name, 0) for node in taken]
    readers += _added(wiring, names, both=device == "cpu")
    if device == "cpu":
        readers += _concatenated(wiring, part, names)
    edges: Edges = defaultdict(list)
    for name, index in readers:
        edges[wiring.nodes[name].input[index]].append((name, index))
    return Placement(
        convolutions=tuple(node.name for node in taken),
        edges={tensor: tuple(found) for tensor, found in edges.items()},
        weights=tuple(dict.fromkeys(node.input[1] for node in taken)),
        left=left,
    )


def measured(model: ModelProto) -> dict[str, Part]:
    """Return the tensors whose ranges any placement needs, and the part that each belongs to."""
    wiring = Wiring(model.graph)
    picture: Part = "picture"
    pictures = {n.input[0]: picture for n in wiring.convolutions() if _is_stem(n, wiring)}
    part = parts(model) | pictures
    devices: tuple[Device, ...] = ("gpu", "cpu")
    tensors = {t for d in devices for t in place(model, product="equalized", device=d).edges}
    for concat in products(model):
        tensors.update(concat.input)  # equalization takes each level's range
    return {name: part.get(name, "backbone") for name in sorted(tensors)}


def _left_alone(
    wiring: Wiring, part: dict[str, Part], product: Similarity, device: Device
) -> dict[str, str]:
    """Return the convolutions that INT8 would spoil, or not speed up, and why.

    Depthwise ones are both: one range for the tensor starves most of the channels, each of which
    has a filter of its own, and their time is spent on moving data. (A teacher with eleven of them:
    left alone, the maps' mean error fell from 0.0077 to 0.0035.)
    """
    left = {}
    for node in wiring.convolutions():
        outputs, inputs = wiring.shapes[node.input[1]][:2]
        if device == "gpu" and _is_stem(node, wiring):
            left[node.name] = "stem"
        elif groups(node) > 1 and inputs == 1:
            left[node.name] = "depthwise"
        elif outputs < NARROW:
            left[node.name] = "output"
        elif wiring.writer(node.input[0]) in MEANS:
            left[node.name] = "pooled"
        elif product == "kept" and part.get(node.input[0]) == "product":
            left[node.name] = "product"
    return left


def _is_stem(convolution: NodeProto, wiring: Wiring) -> bool:
    inputs = wiring.shapes[convolution.input[1]][1]
    return bool(inputs * groups(convolution) <= PICTURE)


def _added(wiring: Wiring, taken: frozenset[str], *, both: bool) -> list[Edge]:
    """Return the inputs of the additions that follow a quantized convolution: both, or the skip.

    Where two convolutions meet, the one at the end of the longer path is fused with the addition
    and the other is the skip. What a convolution that is left alone writes stays as exact as it is.
    """
    found = []
    for node in wiring.nodes.values():
        if node.op_type != "Add" or any(name in wiring.shapes for name in node.input):
            continue
        fused = [k for k, name in enumerate(node.input) if wiring.written_by(name, taken)]
        if not fused:
            continue
        branch = max(fused, key=lambda k: wiring.depth(node.input[k]))
        skip = node.input[1 - branch]
        if wiring.writer(skip) == LAID_OUT and not both:
            continue
        if wiring.writer(skip) != "Conv" or wiring.written_by(skip, taken):
            found += [(node.name, k) for k in (0, 1) if both or k != branch]
    return found


def _concatenated(wiring: Wiring, part: dict[str, Part], taken: frozenset[str]) -> list[Edge]:
    """Return the inputs of the head's concatenations that a quantized convolution reads."""
    return [
        (node.name, index)
        for node in wiring.nodes.values()
        if node.op_type == "Concat"
        and part[node.output[0]] == "head"
        and any(reader in taken for reader, _ in wiring.readers[node.output[0]])
        for index in range(len(node.input))
    ]
