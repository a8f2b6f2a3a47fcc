"""Checks of explicit quantization: the form of Q/DQ pairs that TensorRT computes in INT8."""

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from edgeseg.engine.checks.types import Check, Finding, bad_values, word
from edgeseg.graph.graph import Graph, attribute, constant, dtype, input_of, name_of, shape
from edgeseg.machine.support import Release
from edgeseg.quantize.fp16 import QUANTIZERS

REMEDY = "edgeseg build-engine --precision int8 from the FP32 graph that edgeseg export writes"


def symmetric_int8(graph: Graph, _: Release) -> Iterator[Finding]:
    """Quantized tensors are int8 with a constant zero point of 0; a bias stays in floating point.

    operators.md 10.15. Tried: "Non-zero zero point is not supported"; an int32 bias "must have type
    FP8, FP4, Int4, Int8, or UInt8"; a uint8 zero point of 0, ONNX's default, builds with a warning
    and computes int8, which loses half of the range.
    """
    for node in graph.of(*QUANTIZERS):
        kind = _quantized_type(node)
        if kind not in (ir.DataType.INT8, ir.DataType.UNDEFINED):
            yield Finding(f"{node.name} quantizes to {word(kind)} (expected int8)", REMEDY)
        zero = input_of(node, 2)
        values = constant(zero)
        if zero and (values is None or values.any()):
            found = "computed" if values is None else bad_values(values, values != 0)
            yield Finding(f"zero point of {node.name} is {found} (expected 0)", REMEDY)


def positive_scales(graph: Graph, _: Release) -> Iterator[Finding]:
    """Every scale is positive and finite.

    Tried: 0, negative scales and NaN are "Scale coefficients must all be positive"; an infinite
    scale builds, and everything becomes 0.
    """
    for node in graph.of(*QUANTIZERS):
        values = constant(node.inputs[1])
        if values is not None and (bad := ~(np.isfinite(values) & (values > 0))).any():
            yield Finding(
                f"scale of {node.name} is {bad_values(values, bad)} (expected positive, finite)",
                "edgeseg calibrate on images of the product",
            )


def scales_by_channel(graph: Graph, _: Release) -> Iterator[Finding]:
    """Only weights have one scale per channel, along the output channels of their convolution.

    Developer guide, explicit quantization. Tried: anything else builds and computes in FP32.
    """
    for node in graph.of(*QUANTIZERS):
        values = constant(node.inputs[1])
        if values is None or values.size == 1:
            continue
        source = node.inputs[0]
        assert source
        if not _is_constant(source):
            yield Finding(
                f"{node.name} has {values.size} scales for the activation {source.name} "
                "(expected one)",
                REMEDY,
            )
        axis = attribute(node, "axis", 1)
        for reader, index in node.outputs[0].uses():
            if reader.op_type == "Conv" and index == 1 and axis % max(len(shape(source)), 1):
                yield Finding(
                    f"{node.name} scales the weights of {reader.name} along axis {axis} "
                    "(expected 0, the output channels)",
                    REMEDY,
                )


def scale_types(graph: Graph, release: Release) -> Iterator[Finding]:
    """A scale has the type that the release accepts.

    TensorRT 8.6 parses up to opset 17, which has no FP16 scales. NvInfer.h 10.3: "the input data
    type must match the scale data type"; 11 lifts that. Tried: TensorRT-RTX builds both.
    """
    rule = release.fp16_scales
    for node in graph.of(*QUANTIZERS):
        data, scale = (dtype(tensor) for tensor in node.inputs[:2])
        if rule == "none" and scale is ir.DataType.FLOAT16:
            yield Finding(f"scale of {node.name} is float16 (expected float)", REMEDY)
        if rule == "equal" and node.op_type == "QuantizeLinear" and scale is not data:
            yield Finding(
                f"scale of {node.name} is {word(scale)} and its input {word(data)} (expected one "
                "type)",
                REMEDY,
            )


def int8_between_pairs(graph: Graph, _: Release) -> Iterator[Finding]:
    """Only DequantizeLinear reads an int8 tensor, and no output is int8.

    operators.md 10.15 lists INT8 for DequantizeLinear alone. Tried: TensorRT-RTX builds Relu,
    MaxPool and Reshape on int8, which is not documented.
    """
    for node in graph.of("QuantizeLinear"):
        tensor = node.outputs[0]
        readers = [user for user, _ in tensor.uses() if user.op_type != "DequantizeLinear"]
        others = [*map(name_of, readers), *["an output"] * tensor.is_graph_output()]
        if others:
            yield Finding(
                f"int8 tensor {tensor.name} is read by {', '.join(others)} (expected "
                "DequantizeLinear)",
                REMEDY,
            )


def _quantized_type(node: ir.Node) -> ir.DataType:
    """Return the quantized type of a Q or DQ node; QuantizeLinear without a zero point: uint8."""
    if node.op_type == "DequantizeLinear":
        return dtype(node.inputs[0])
    if zero := input_of(node, 2):
        return dtype(zero)
    return ir.DataType(attribute(node, "output_dtype", 0)) or ir.DataType.UINT8


def _is_constant(tensor: ir.Value | None) -> bool:
    """Whether a tensor is a constant, or one that was quantized."""
    node = tensor.producer() if tensor else None
    quantized = node is not None and node.op_type in QUANTIZERS and _is_constant(node.inputs[0])
    return quantized or constant(tensor) is not None


CHECKS: tuple[Check, ...] = (
    symmetric_int8,
    positive_scales,
    scales_by_channel,
    scale_types,
    int8_between_pairs,
)
