"""Ranges to an explicit INT8 graph: QuantizeLinear and DequantizeLinear where placement.py says.

Weights have a scale for each output channel, activations one for the tensor. Three flavors:

    half    Half between the islands, Half scales, INT8 weights: TensorRT 10, 11 and TensorRT-RTX
    float   Float throughout, weights in Float before a pair of their own: TensorRT 8.6, which takes
            no INT8 constant, and the builder's flags choose the types
    cpu     Float, unsigned activations, an INT32 bias, more pairs: ONNX Runtime and OpenVINO
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto

from edgeseg.cards import sha256
from edgeseg.config import Similarity
from edgeseg.graph.rewrite import checked
from edgeseg.quantize.calibration_file import Ranges
from edgeseg.quantize.equalize import equalize
from edgeseg.quantize.fp16 import to_fp16
from edgeseg.quantize.placement import Device, Placement, place
from edgeseg.quantize.qdq import Flavor, insert_pairs

DEVICE: dict[Flavor, Device] = {"half": "gpu", "float": "gpu", "cpu": "cpu"}


def quantize(
    model: ModelProto,
    ranges: Ranges,
    *,
    keep: frozenset[str] = frozenset(),
    flavor: Flavor = "half",
    product: Similarity = "kept",
) -> ModelProto:
    """Return the graph with explicit quantization; inputs, outputs, metadata stay.

    model: the FP32 graph that was calibrated; keep: names of convolutions to leave unquantized.
    Errors: ModelError for a tensor without a range.
    """
    quantized = ModelProto()
    quantized.CopyFrom(model)
    if product == "equalized":
        ranges = equalize(quantized, ranges)
    placement = place(quantized, keep=keep, product=product, device=DEVICE[flavor])
    insert_pairs(quantized, placement, ranges, flavor)
    if flavor == "half":
        return to_fp16(quantized)
    return checked(quantized)


@dataclass(frozen=True, kw_only=True)
class Int8:
    """How a graph is going to be quantized: what `quantize` takes, and the file it comes from."""

    ranges: Ranges
    file: Path
    keep: frozenset[str] = frozenset()
    product: Similarity = "kept"

    def apply(self, model: ModelProto, flavor: Flavor) -> ModelProto:
        """Return the graph quantized."""
        return quantize(model, self.ranges, keep=self.keep, flavor=flavor, product=self.product)

    def placement(self, model: ModelProto, flavor: Flavor) -> Placement:
        """Return what is quantized."""
        return place(model, keep=self.keep, product=self.product, device=DEVICE[flavor])

    def to_json(self, model: ModelProto, flavor: Flavor) -> dict[str, Any]:
        """Return for the card: the file of ranges, and what was placed where."""
        kinds = Counter(node.op_type for node in self.apply(model, flavor).graph.node)
        placement = self.placement(model, flavor)
        return {
            "ranges": self.file.name,
            "ranges_sha256": sha256(self.file),
            "flavor": flavor,
            "product": self.product,
            "convolutions": len(placement.convolutions),
            "left_alone": placement.left,
            "quantize": kinds["QuantizeLinear"],
            "dequantize": kinds["DequantizeLinear"],
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
