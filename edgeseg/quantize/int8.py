"""Calibration ranges to an explicit INT8 graph: Q/DQ pairs where placement.py says.

Weights have a scale for each output channel, activations one for the tensor. Three styles:

    fp16    FP16 around the pairs, FP16 scales, INT8 weights: TensorRT 10, 11 and TensorRT-RTX
    fp32    FP32 throughout, FP32 weights before a pair of their own: TensorRT 8.6, which takes no
            INT8 constant, and whose builder flags choose the types
    cpu     FP32, unsigned activations, an INT32 bias, more pairs: ONNX Runtime and OpenVINO
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto

from edgeseg.config import Similarity
from edgeseg.files import sha256
from edgeseg.graph.graph import Graph
from edgeseg.quantize.calibration_file import Ranges
from edgeseg.quantize.equalize import equalize
from edgeseg.quantize.fp16 import retype
from edgeseg.quantize.placement import Placement, Processor, place
from edgeseg.quantize.qdq import Style, insert_pairs

PROCESSOR: dict[Style, Processor] = {"fp16": "gpu", "fp32": "gpu", "cpu": "cpu"}


@dataclass(frozen=True, kw_only=True)
class Int8:
    """How a graph is quantized.

    ranges: of the FP32 graph; file: where they come from; keep: names of convolutions that stay;
    similarity: whether those that read the similarity stay, or read it equalized.
    """

    ranges: Ranges
    file: Path
    keep: frozenset[str] = frozenset()
    similarity: Similarity = "kept"

    def apply(self, model: ModelProto, style: Style) -> ModelProto:
        """Return the FP32 graph quantized; inputs, outputs, metadata stay.

        Errors: ModelError for a tensor without a range.
        """
        graph, ranges = Graph(model), self.ranges
        if self.similarity == "equalized":
            ranges = equalize(graph, ranges)
        insert_pairs(graph, self._place(graph, style), ranges, style)
        if style == "fp16":
            retype(graph)
        return graph.to_proto()

    def placement(self, model: ModelProto, style: Style) -> Placement:
        """Return what is quantized."""
        return self._place(Graph(model), style)

    def to_json(self, model: ModelProto, style: Style) -> dict[str, Any]:
        """Return for the card: the calibration file, and what is quantized."""
        placement = self.placement(model, style)
        return {
            "ranges": self.file.name,
            "ranges_sha256": sha256(self.file),
            "style": style,
            "similarity": self.similarity,
            "convolutions": len(placement.convolutions),
            "activations": len(placement.edges),
            "left": placement.left,
        }

    def _place(self, graph: Graph, style: Style) -> Placement:
        processor = PROCESSOR[style]
        return place(graph, keep=self.keep, similarity=self.similarity, processor=processor)


def describe(found: dict[str, Any]) -> str:
    """Return the quantization of a card in one line."""
    left = Counter(found["left"].values())
    others = ", ".join(f"{count} {reason}" for reason, count in sorted(left.items()))
    return (
        f"{found['convolutions']} convolutions and {found['activations']} activations in INT8, "
        f"similarity {found['similarity']}, calibration file {found['ranges']} "
        f"({found['ranges_sha256'][:12]}); not quantized: {others or 'none'}"
    )
