"""Checks of operations and types: uint8 at both ends, FP16 within its range, sums in FP32."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.graph.graph import Graph, constant, dtype, input_of
from edgeseg.machine.support import Release
from edgeseg.quantize.fp16 import MAX, QUANTIZERS, TINY

FP16, FP32, UINT8 = ir.DataType.FLOAT16, ir.DataType.FLOAT, ir.DataType.UINT8
MOST_VALUES = 3840  # of TopK
SUMS = "LpNormalization ReduceL1 ReduceL2 ReduceMean ReduceSum ReduceSumSquare".split()
EXPORT = "edgeseg export, and build from the graph that it writes"


@dataclass(frozen=True)
class Finding:
    """What was found and expected, and what to do about it."""

    problem: str
    remedy: str


Check = Callable[[Graph, Release], Iterator[Finding]]


def opset(graph: Graph, release: Release) -> Iterator[Finding]:
    """The opset is one that the parser documents (operators.md of the release).

    Tried: TensorRT-RTX parses opsets 7 to 26 without a message, by the meaning of those it knows.
    """
    lowest, highest = release.opsets
    if not lowest <= graph.opset <= highest:
        yield Finding(f"opset {graph.opset} (expected {lowest} to {highest})", EXPORT)


def static_shapes(graph: Graph, _: Release) -> Iterator[Finding]:
    """Every input has a fixed size.

    Tried: "Network has dynamic or shape inputs, but no optimization profile has been defined".
    """
    for tensor in graph.inputs:
        if tensor.shape is None or not tensor.shape.is_static():
            yield Finding(
                f"input {tensor.name} has the size {tensor.shape} (expected a fixed size)",
                "edgeseg export --frame-size 640x480",
            )


def topk(graph: Graph, _: Release) -> Iterator[Finding]:
    """TopK takes a constant k up to 3840. Tried: "K exceeds the maximum value allowed (3840)"."""
    for node in graph.of("TopK"):
        k = constant(input_of(node, 1))
        if k is None or k.item() > MOST_VALUES:
            found = "computed" if k is None else k.item()
            yield Finding(
                f"k of {node.name} is {found} (expected a constant up to {MOST_VALUES})",
                f"edgeseg train DATA --top {MOST_VALUES}, or --runtime openvino or onnxruntime",
            )


def bytes_are_cast(graph: Graph, release: Release) -> Iterator[Finding]:
    """A uint8 tensor is an input or output of the graph, and only a Cast from or to float uses it.

    NvInferRuntimeBase.h 11.1: convert uint8 inputs before any other layer, to FP32 or FP16. Tried:
    Transpose of uint8 "must have type Float, Half, ..."; "TensorRT does not support UINT8 types for
    intermediate tensors"; a uint8 constant becomes INT32; TensorRT-RTX casts from int32 too.
    """
    for node in graph.nodes:
        tensors = [tensor for tensor in (*node.inputs, *node.outputs) if tensor]
        used = [tensor for tensor in tensors if dtype(tensor) is UINT8]
        if not used or node.op_type in QUANTIZERS:
            continue
        inner = [t for t in used if not (t.is_graph_input() or t.is_graph_output())]
        others = [dtype(t) for t in tensors if dtype(t) not in (UINT8, FP32, FP16)]
        if node.op_type != "Cast":
            yield Finding(f"{node.name} ({node.op_type}) uses uint8 (expected a Cast)", EXPORT)
        elif inner:
            yield Finding(f"{inner[0].name} is uint8 inside the graph (expected float)", EXPORT)
        elif others and not release.rtx:
            yield Finding(
                f"{node.name} casts between uint8 and {word(others[0])} (expected float)", EXPORT
            )


def fp16_constants(graph: Graph, _: Release) -> Iterator[Finding]:
    """FP16 holds its constants: none overflows, no scalar underflows, no divisor is 0.

    Tried: TensorRT-RTX builds infinities and NaN without a message. FP16 ends at 65504, and an
    epsilon of 1e-12 is 0. Some of a convolution's many weights are always tiny; a scalar is an
    epsilon.
    """
    for tensor in graph.tensors().values():
        if dtype(tensor) is not FP16:
            continue
        node = tensor.producer()
        source = node.inputs[0] if node and node.op_type == "Cast" else tensor
        values = constant(source)
        if values is None:
            continue
        exact = values.astype(np.float64)
        bad = ~(np.abs(exact) <= MAX)  # NaN too
        if any(user.op_type == "Div" and index == 1 for user, index in tensor.uses()):
            bad |= np.abs(exact) < TINY
        elif exact.size == 1:
            bad |= (np.abs(exact) < TINY) & (exact != 0)
        if bad.any():
            yield Finding(
                f"constant {tensor.name} is {bad_values(exact, bad)} in FP16 (expected magnitudes "
                f"from {TINY:.1e} to {MAX:.0f})",
                "--precision fp32, or --data to let the accuracy gate choose the layers",
            )


def sums_in_fp32(graph: Graph, _: Release) -> Iterator[Finding]:
    """Sums over many values, such as norms and means, are computed in FP32.

    Arithmetic: the sum of 256 squares overflows FP16 at a root mean square of 16, and the square of
    2.4e-4 underflows. TensorRT computes in the type that the graph gives.
    """
    for node in graph.of(*SUMS):
        if dtype(node.inputs[0]) is FP16:
            yield Finding(f"{node.name} ({node.op_type}) sums in FP16 (expected FP32)", EXPORT)


def word(kind: ir.DataType) -> str:
    """Return a type as ONNX names it: `float16`."""
    return kind.name.lower()


def bad_values(values: NDArray[Any], bad: NDArray[np.bool_]) -> str:
    """Return which values of an array are bad: `0.0 (2 of 64 values)`."""
    first = float(values[bad][0])
    total = f" ({int(bad.sum())} of {values.size} values)" if values.size > 1 else ""
    return f"{first:g}{total}"


CHECKS: tuple[Check, ...] = (
    opset,
    static_shapes,
    topk,
    bytes_are_cast,
    fp16_constants,
    sums_in_fp32,
)
