"""Rules of types: bytes at the two ends, Half where it holds the values, Float for the norms.

"Tried" means with TensorRT-RTX 1.7.1, parsing and building for compute capability 8.6.
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
from edgeseg.quantize.fp16 import MAX, QUANTIZERS, TINY

HALF, FLOAT, BYTES = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.UINT8
KNOWN = (HALF, FLOAT, BYTES, *(getattr(TensorProto, k) for k in ("BFLOAT16", "INT32", "INT64")))
KNOWN = (*KNOWN, TensorProto.INT8, TensorProto.BOOL, TensorProto.UNDEFINED)
FLOATS = (HALF, FLOAT, TensorProto.BFLOAT16)
ONE_TYPE = "Add Concat Conv ConvTranspose Div Gemm MatMul Max Min Mul PRelu Pow Sub Sum Where"
SUMS = "LpNormalization ReduceL1 ReduceL2 ReduceMean ReduceSum ReduceSumSquare"
TYPE_AGAIN = "edgeseg build-engine from the graph that edgeseg export writes"


def bytes_are_cast(graph: Graph, _: Target) -> Iterator[Fault]:
    """Only Cast reads or writes uint8.

    NvInferRuntimeBase.h 11.1: convert uint8 inputs before any other layer. Tried: Transpose of
    uint8 "must have type Float, Half, ...".
    """
    for node in graph.nodes:
        if node.op_type in ("Cast", *QUANTIZERS):
            continue
        names = [n for n in (*node.input, *node.output) if graph.type_of(n) == BYTES]
        if names:
            yield Fault(
                f"{node.name} ({node.op_type}) works on the uint8 tensor {names[0]}; a Cast was "
                "expected there",
                TYPE_AGAIN,
            )


def bytes_at_the_ends(graph: Graph, _: Target) -> Iterator[Fault]:
    """A uint8 tensor is an input or an output of the graph.

    Tried: "TensorRT does not support UINT8 types for intermediate tensors"; a uint8 constant
    becomes INT32, with a warning.
    """
    ends = graph.outputs | {tensor.name for tensor in graph.inputs}
    pairs = {name for node in graph.of(*QUANTIZERS) for name in (*node.input, *node.output)}
    for name, kind in graph.types.items():
        if kind == BYTES and name not in ends | pairs:
            yield Fault(
                f"the tensor {name} inside the graph is uint8; uint8 was expected at its inputs "
                "and outputs only",
                TYPE_AGAIN,
            )


def bytes_from_floats(graph: Graph, target: Target) -> Iterator[Fault]:
    """A Cast from or to uint8 has Float or Half on its other side.

    NvInferRuntimeBase.h 11.1 promises no other. Tried: TensorRT-RTX takes int32 too, and is let.
    """
    if target.release.rtx:
        return
    for node in graph.of("Cast"):
        kinds = [graph.type_of(node.input[0]), graph.type_of(node.output[0])]
        if BYTES in kinds:
            kinds.remove(BYTES)
            if kinds[0] not in (FLOAT, HALF, TensorProto.UNDEFINED):
                yield Fault(
                    f"{node.name} casts between uint8 and {word(kinds[0])}; float or float16 was "
                    "expected",
                    TYPE_AGAIN,
                )


def known_types(graph: Graph, _: Target) -> Iterator[Fault]:
    """Every tensor has a type that the parser keeps.

    operators.md 10.15. Tried: INT16 and UINT16 are "Unsupported ONNX data type"; DOUBLE is cast
    down to Float.
    """
    for name, kind in graph.types.items():
        if kind not in KNOWN:
            yield Fault(f"the tensor {name} is {word(kind)}; float was expected", TYPE_AGAIN)


def one_float_type(graph: Graph, _: Target) -> Iterator[Fault]:
    """A node's inputs have one floating-point type.

    Tried: "IConvolutionLayer `input` and `kernel` must be of same type".
    """
    for node in graph.of(*ONE_TYPE.split()):
        kinds = {graph.type_of(name) for name in node.input if name}
        found = sorted(kinds.intersection(FLOATS))
        if len(found) > 1:
            yield Fault(
                f"{node.name} ({node.op_type}) reads {' and '.join(map(word, found))}; one type "
                "was expected",
                TYPE_AGAIN,
            )


def half_constants(graph: Graph, _: Target) -> Iterator[Fault]:
    """Half holds its constants: none overflows, no lone one vanishes, none divides by 0.

    Tried: TensorRT-RTX builds infinities and NaN without a word. The largest Half is 65504, and an
    epsilon of 1e-12 is 0 in Half. Among many weights some are always tiny; a scalar is an epsilon.
    """
    for name, constant in graph.constants.items():
        if constant.data_type == HALF:
            readers = graph.readers[name]
            yield from _judge(graph, name, name, any(_divides(n, name) for n in readers))
    for node in graph.of("Cast"):
        into_half = attribute(node, "to", 0) == HALF
        if into_half and graph.type_of(node.input[0]) == FLOAT and node.input[0] in graph.constants:
            readers = graph.readers[node.output[0]]
            divides = any(_divides(n, node.output[0]) for n in readers)
            yield from _judge(graph, node.input[0], node.output[0], divides)


def sums_in_float(graph: Graph, _: Target) -> Iterator[Fault]:
    """Sums over many values, norms and means among them, are computed in Float.

    Arithmetic: squares over 256 channels overflow Half where their mean size is 16, and vanish
    below 2.4e-4. TensorRT computes them in the type that the graph gives.
    """
    for node in graph.of(*SUMS.split()):
        if graph.type_of(node.input[0]) == HALF:
            yield Fault(
                f"{node.name} ({node.op_type}) sums in float16, which ends at {MAX:.0f}; float was "
                "expected",
                TYPE_AGAIN,
            )


def _divides(node: NodeProto, name: str) -> bool:
    return node.op_type == "Div" and input_of(node, 1) == name


def _judge(graph: Graph, constant: str, name: str, divides: bool) -> Iterator[Fault]:
    values = graph.value(constant)
    assert values is not None
    exact = values.astype(np.float64)
    over = ~(np.abs(exact) <= MAX)  # NaN too
    tiny = np.abs(exact) < TINY
    if not divides:  # 0 is an honest constant everywhere else, and so are tiny weights
        tiny &= (exact != 0) & (values.size == 1)
    for bad in (over, tiny):
        if bad.any():
            yield Fault(
                f"the constant {name} is {bad_values(exact, bad)} in float16; sizes from "
                f"{TINY:.1e} to {MAX:.0f} were expected",
                f"keep the nodes that read {name} in float, or --precision fp32",
            )


RULES: tuple[Rule, ...] = (
    bytes_are_cast,
    bytes_at_the_ends,
    bytes_from_floats,
    known_types,
    one_float_type,
    half_constants,
    sums_in_float,
)
