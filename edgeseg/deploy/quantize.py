"""Ranges to an explicit INT8 graph: QuantizeLinear and DequantizeLinear where placement.py says.

Symmetric throughout, zero point 0: TensorRT knows no other. Weights have a scale for each output
channel and lie in [-127, 127]; activations have one for the tensor. Three flavors:

    half    Half between the islands, Half scales, INT8 weights: TensorRT 10, 11 and TensorRT-RTX
    float   Float throughout, weights in Float before a pair of their own: TensorRT 8.6, which takes
            no INT8 constant, and the builder's flags choose the types
    cpu     Float throughout, INT8 weights: ONNX Runtime and OpenVINO
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgeseg.cards import sha256
from edgeseg.config import Product
from edgeseg.deploy.equalize import equalize
from edgeseg.deploy.placement import Placement, place
from edgeseg.deploy.precision import TINY, to_fp16
from edgeseg.deploy.rangefile import Ranges

Flavor = Literal["half", "float", "cpu"]
QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
LEVELS = 127
FLOOR = 1e-8  # of a scale: TensorRT takes no zero, and a dead tensor has no range
Floats = NDArray[np.float32]


def quantize(
    model: ModelProto,
    ranges: Ranges,
    *,
    keep: frozenset[str] = frozenset(),
    flavor: Flavor = "half",
    product: Product = "kept",
) -> ModelProto:
    """Return the graph with explicit quantization; inputs, outputs, metadata stay.

    model: the FP32 graph that was calibrated; keep: names of convolutions to leave unquantized.
    Errors: ModelError for a tensor without a range.
    """
    quantized = ModelProto()
    quantized.CopyFrom(model)
    if product == "equalized":
        ranges = equalize(quantized, ranges)
    placement = place(quantized, keep=keep, product=product)
    graph = quantized.graph
    inserter = _Inserter(graph.initializer, ranges, flavor)
    nodes = list(inserter.rewire(graph.node, placement))
    used = {name for node in nodes for name in node.input}
    constants = [i for i in (*graph.initializer, *inserter.constants.values()) if i.name in used]
    for field in (graph.node, graph.initializer, graph.value_info):
        del field[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    if flavor == "half":
        return to_fp16(quantized)
    onnx.checker.check_model(quantized)
    return onnx.shape_inference.infer_shapes(quantized, check_type=True, strict_mode=True)


@dataclass(frozen=True, kw_only=True)
class Int8:
    """How a graph is going to be quantized: what `quantize` takes, and the file it comes from."""

    ranges: Ranges
    file: Path
    keep: frozenset[str] = frozenset()
    product: Product = "kept"

    def apply(self, model: ModelProto, flavor: Flavor) -> ModelProto:
        """Return the graph quantized."""
        return quantize(model, self.ranges, keep=self.keep, flavor=flavor, product=self.product)

    def convolutions(self, model: ModelProto) -> frozenset[str]:
        """Return the names of the convolutions that read INT8."""
        return frozenset(place(model, keep=self.keep, product=self.product).convolutions)

    def to_json(self, model: ModelProto, *, weak: bool = False) -> dict[str, Any]:
        """Return for the card: the file of ranges, and what was placed where.

        weak: the flavor `float` was taken, which quantizes weights in the graph.
        """
        placement = place(model, keep=self.keep, product=self.product)
        weights = len(placement.weights)
        activations = len(placement.edges)
        return {
            "ranges": self.file.name,
            "ranges_sha256": sha256(self.file),
            "product": self.product,
            "convolutions": len(placement.convolutions),
            "left_alone": placement.left,
            "quantize": activations + weak * weights,
            "dequantize": activations + weights,
        }


def describe(found: dict[str, Any]) -> str:
    """Return the card's words on quantization in one line."""
    left = Counter(found["left_alone"].values())
    others = ", ".join(f"{reason} {count}" for reason, count in sorted(left.items()))
    return (
        f"{found['convolutions']} convolutions, {found['quantize']} QuantizeLinear, "
        f"{found['dequantize']} DequantizeLinear, product {found['product']}, ranges "
        f"{found['ranges']} ({found['ranges_sha256'][:12]}); left alone: {others or 'none'}"
    )


def quantize_weight(weight: Floats, *, half: bool) -> tuple[NDArray[np.int8], Floats]:
    """Return int8 weights [O, ...] and their scales [O]; half: the scales are Half's numbers."""
    peaks = np.abs(weight.reshape(len(weight), -1)).max(axis=1)
    scale = _scale(peaks, half=half)
    levels = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return np.clip(levels, -LEVELS, LEVELS).astype(np.int8), scale


def _scale(limit: Floats | float, *, half: bool) -> Floats:
    """Return the step that spreads [-limit, limit] over 127 levels; never zero or subnormal."""
    scale = np.maximum(np.asarray(limit, np.float32) / LEVELS, TINY if half else FLOOR)
    return scale.astype(np.float16 if half else np.float32).astype(np.float32)


class _Inserter:
    """Adds each tensor's pair once, behind the node that writes it."""

    def __init__(self, initializers: Iterable[TensorProto], ranges: Ranges, flavor: Flavor) -> None:
        self.originals = {i.name: i for i in initializers}
        self.constants: dict[str, TensorProto] = {}
        self.ranges = ranges
        self.flavor = flavor

    def rewire(self, nodes: Iterable[NodeProto], placement: Placement) -> Iterator[NodeProto]:
        """Yield the nodes in order, rewired, and the new ones before their readers."""
        convolutions = set(placement.convolutions)
        sources = {edge: name for name, edges in placement.edges.items() for edge in edges}
        made: set[str] = set()
        for node in nodes:
            for index, name in enumerate(node.input):
                weight = index == 1 and node.name in convolutions
                if not weight and (node.name, index) not in sources:
                    continue
                node.input[index] = f"{name}/dequantized"
                if name not in made:
                    yield from self._weight(name) if weight else self._activation(name)
                    made.add(name)
            yield node

    def _activation(self, tensor: str) -> Iterator[NodeProto]:
        half = self.flavor == "half"
        yield from self._pair(tensor, _scale(self.ranges.limit(tensor), half=half))

    def _weight(self, name: str) -> Iterator[NodeProto]:
        levels, scale = quantize_weight(
            numpy_helper.to_array(self.originals[name]), half=self.flavor == "half"
        )
        if self.flavor == "float":
            yield from self._pair(name, scale)
        else:
            self._constant(f"{name}/quantized", levels)
            yield self._node(DEQUANTIZE, name, f"{name}/quantized", scale)

    def _pair(self, tensor: str, scale: Floats) -> Iterator[NodeProto]:
        yield self._node(QUANTIZE, tensor, tensor, scale)
        yield self._node(DEQUANTIZE, tensor, f"{tensor}/quantized", scale)

    def _node(self, op: str, name: str, source: str, scale: Floats) -> NodeProto:
        step = self._constant(f"{name}/scale", scale)
        zero = self._constant(f"{name}/zero", np.zeros(scale.shape, np.int8))
        output = f"{name}/quantized" if op == QUANTIZE else f"{name}/dequantized"
        node = helper.make_node(op, [source, step, zero], [output], output)
        if scale.ndim:
            node.attribute.append(helper.make_attribute("axis", 0))
        return node

    def _constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants[name] = numpy_helper.from_array(value, name)
        return name
