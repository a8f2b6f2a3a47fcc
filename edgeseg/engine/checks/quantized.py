"""Rules of explicit quantization: what TensorRT takes between QuantizeLinear and DequantizeLinear.

"Tried" means with TensorRT-RTX 1.7.1, parsing and building for compute capability 8.6. Main
TensorRT was not run; its words are NVIDIA's documents and headers, named where they are the source.
"""

from collections.abc import Iterator

import numpy as np
from onnx import NodeProto, TensorProto

from edgeseg.engine.checks.graph import (
    Fault,
    Graph,
    Rule,
    Target,
    attribute,
    bad_values,
    input_of,
    word,
)
from edgeseg.quantize.fp16 import QUANTIZERS

QUANTIZE_AGAIN = "quantize again with "
OUTPUT_CHANNELS = {"Conv": 0, "ConvTranspose": 1}  # the weights' axis


def int8_only(graph: Graph, _: Target) -> Iterator[Fault]:
    """Quantized tensors are int8.

    Tried: a uint8 zero point of 0, ONNX's default, builds with a warning and computes int8, so that
    half of the range is lost. operators.md 10.15: UINT8 for network inputs and outputs only.
    """
    for node in graph.of(*QUANTIZERS):
        kind = _quantized_type(graph, node)
        if kind not in (TensorProto.INT8, TensorProto.INT32, TensorProto.UNDEFINED):
            yield Fault(
                f"{node.name} quantizes to {word(kind)}; int8 was expected",
                QUANTIZE_AGAIN + "signed int8 (QInt8) and a zero point of type int8",
            )


def symmetric(graph: Graph, _: Target) -> Iterator[Fault]:
    """Every zero point is a constant 0.

    Tried: "Non-zero zero point is not supported". operators.md: the zero point must be 0.
    """
    for node in graph.of(*QUANTIZERS):
        name = input_of(node, 2)
        values = graph.value(name)
        if name and (values is None or values.any()):
            found = "computed" if values is None else bad_values(values, values != 0)
            yield Fault(
                f"the zero point of {node.name} is {found}; a constant 0 was expected",
                QUANTIZE_AGAIN + "ActivationSymmetric=True and WeightSymmetric=True",
            )


def no_quantized_bias(graph: Graph, _: Target) -> Iterator[Fault]:
    """No int32 tensor is dequantized: a bias stays in floating point.

    Tried: "input has type Int32 but must have type FP8, FP4, Int4, Int8, or UInt8".
    """
    for node in graph.of("DequantizeLinear"):
        if graph.type_of(node.input[0]) == TensorProto.INT32:
            yield Fault(
                f"{node.name} dequantizes the int32 tensor {node.input[0]}, a bias; a bias in "
                "floating point was expected",
                QUANTIZE_AGAIN + "QuantizeBias=False",
            )


def positive_scales(graph: Graph, _: Target) -> Iterator[Fault]:
    """Every scale is above 0 and finite.

    Tried: 0, below 0 and NaN are "Scale coefficients must all be positive"; an infinite scale
    builds, and everything becomes 0.
    """
    for node in graph.of(*QUANTIZERS):
        values = graph.value(node.input[1])
        if values is None:
            continue
        bad = ~(np.isfinite(values) & (values > 0))
        if bad.any():
            yield Fault(
                f"the scale of {node.name} is {bad_values(values, bad)}; positive, finite scales "
                "were expected",
                QUANTIZE_AGAIN + "a floor for the scales of dead channels (1e-8; Half: 6.2e-5)",
            )


def constant_scales(graph: Graph, target: Target) -> Iterator[Fault]:
    """Scales are constants for TensorRT before 11.

    NvInfer.h 10.3, IQuantizeLayer: "the scale must be a build-time constant". Tried: TensorRT-RTX
    builds a scale that is a network input.
    """
    if target.release.fp16_scales == "any":
        return
    for node in graph.of(*QUANTIZERS):
        if graph.value(node.input[1]) is None:
            yield Fault(
                f"the scale of {node.name} is computed; {target.release} expects a constant",
                QUANTIZE_AGAIN + "static calibration",
            )


def per_tensor_activations(graph: Graph, _: Target) -> Iterator[Fault]:
    """One scale for each activation; only weights have one for each channel.

    Developer guide, explicit quantization. Tried: it builds, and the convolution computes in Float.
    """
    for node in graph.of(*QUANTIZERS):
        values = graph.value(node.input[1])
        if values is not None and values.size > 1 and not graph.is_constant(node.input[0]):
            yield Fault(
                f"{node.name} has {values.size} scales for the activation {node.input[0]}; one was "
                "expected",
                QUANTIZE_AGAIN + "per-channel scales for weights only",
            )


def weights_by_output_channel(graph: Graph, _: Target) -> Iterator[Fault]:
    """The scales of a convolution's weights run along its output channels.

    Developer guide, explicit quantization. Tried: along another axis the convolution computes in
    Float.
    """
    for node in graph.of("DequantizeLinear"):
        scales = graph.value(node.input[1])
        for reader in graph.readers[node.output[0]]:
            wanted = OUTPUT_CHANNELS.get(reader.op_type)
            weighs = input_of(reader, 1) == node.output[0]
            if wanted is None or not weighs or scales is None or scales.size == 1:
                continue
            rank = len(graph.shapes.get(node.input[0], []))
            axis = attribute(node, "axis", 1)
            if axis % max(rank, 1) != wanted:
                yield Fault(
                    f"{node.name} scales the weights of {reader.name} along axis {axis}; axis "
                    f"{wanted}, the output channels, was expected",
                    f"{QUANTIZE_AGAIN}axis {wanted} for {reader.op_type}",
                )


def scale_types(graph: Graph, target: Target) -> Iterator[Fault]:
    """Scales have the type of the tensor, or Float, as the release wants it.

    TensorRT 8.6 parses up to opset 17, which has no FP16 scales. NvInfer.h 10.3: "the input data
    type must match the scale data type"; 11 lifts that. Tried: TensorRT-RTX builds both.
    """
    rule = target.release.fp16_scales
    for node in graph.of(*QUANTIZERS):
        scale, data = graph.type_of(node.input[1]), graph.type_of(node.input[0])
        if rule == "none" and scale == TensorProto.FLOAT16:
            yield Fault(
                f"the scale of {node.name} is float16; {target.release} expects float",
                "build with TensorRT 10 or newer, or " + QUANTIZE_AGAIN + "float scales",
            )
        if rule == "equal" and node.op_type == "QuantizeLinear" and scale != data:
            yield Fault(
                f"the scale of {node.name} is {word(scale)} and {node.input[0]} is {word(data)}; "
                f"{target.release} expects one type",
                f"convert the scale to {word(data)} (opset 19 or newer)",
            )


def int8_between_pairs(graph: Graph, _: Target) -> Iterator[Fault]:
    """An int8 tensor is read by DequantizeLinear alone, and is no output.

    operators.md 10.15: INT8 only through quantization, and no operation but DequantizeLinear lists
    it. Tried: TensorRT-RTX builds Relu, MaxPool and Reshape on int8; that is not promised.
    """
    for node in graph.of("QuantizeLinear"):
        name = node.output[0]
        others = [n.name for n in graph.readers[name] if n.op_type != "DequantizeLinear"]
        if name in graph.outputs:
            others.append("the graph's output")
        if others:
            yield Fault(
                f"the quantized tensor {name} goes to {', '.join(others)}; DequantizeLinear alone "
                "was expected",
                QUANTIZE_AGAIN + "a DequantizeLinear directly after each QuantizeLinear",
            )


def _quantized_type(graph: Graph, node: NodeProto) -> int:
    """Return what a pair's half writes or reads; QuantizeLinear without a zero point: uint8."""
    if node.op_type == "DequantizeLinear":
        return graph.type_of(node.input[0])
    if zero := input_of(node, 2):
        return graph.type_of(zero)
    return int(attribute(node, "output_dtype", 0)) or TensorProto.UINT8


RULES: tuple[Rule, ...] = (
    int8_only,
    symmetric,
    no_quantized_bias,
    positive_scales,
    constant_scales,
    per_tensor_activations,
    weights_by_output_channel,
    scale_types,
    int8_between_pairs,
)
