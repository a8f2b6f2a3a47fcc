"""Rules of operations: what the ONNX parsers of TensorRT and TensorRT-RTX know.

"Tried" means with TensorRT-RTX 1.7.1. operators.md is the parser's own list, of 10.15 where no
other is named.
"""

from collections.abc import Iterator

from onnx import TensorProto

from edgeseg.engine.checks.graph import Fault, Graph, Rule, Target, attribute, input_of

MOST_VALUES = 3840  # of TopK
UNSUPPORTED = frozenset(
    "AffineGrid Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad Col2Im "
    "Compress ConcatFromSequence ConvInteger DFT Det DynamicQuantizeLinear ImageDecoder "
    "MatMulInteger MaxRoiPool MaxUnpool MelWeightMatrix Multinomial NegativeLogLikelihoodLoss "
    "Optional OptionalGetElement OptionalHasElement QLinearConv QLinearMatMul RegexFullMatch "
    "SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength "
    "SequenceMap SoftmaxCrossEntropyLoss SplitToSequence StringConcat StringNormalizer StringSplit "
    "TfIdfVectorizer Unique".split()
)
RESIZE_MODES = ("nearest", "linear")
RESIZE_COORDINATES = (
    *("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric"),
    "align_corners",
)
LINEAR_AXES = 3
POOLS = ("MaxPool", "AveragePool", "LpPool")
EXPORT = "edgeseg export"
ELSEWHERE = "--runtime openvino or onnxruntime"


def opset(graph: Graph, target: Target) -> Iterator[Fault]:
    """The opset is one whose meaning the parser documents.

    operators.md and the release's prerequisites. Tried: TensorRT-RTX parses opsets 7 to 26 without
    a word, by the meaning of those that it knows.
    """
    lowest, highest = target.release.opsets
    if not lowest <= graph.opset <= highest:
        yield Fault(
            f"the graph is of opset {graph.opset}; {target.release} documents {lowest} to "
            f"{highest}",
            EXPORT,
        )


def domains(graph: Graph, _: Target) -> Iterator[Fault]:
    """Every node is of ONNX's own domain.

    Tried: the parser looks at the name alone, and takes com.microsoft's Gelu for ONNX's.
    """
    for node in graph.nodes:
        if node.domain not in ("", "ai.onnx"):
            yield Fault(
                f"{node.name} is {node.domain}.{node.op_type}; an operation of ONNX was expected",
                EXPORT,
            )


def supported(graph: Graph, target: Target) -> Iterator[Fault]:
    """No operation is one that the parser lists as unsupported.

    operators.md. Tried with Det, Bernoulli and DynamicQuantizeLinear: the parser refuses, and gives
    "false" for a reason.
    """
    for node in graph.of(*UNSUPPORTED):
        yield Fault(f"{target.release} has no {node.op_type}, which {node.name} is", ELSEWHERE)


def topk(graph: Graph, target: Target) -> Iterator[Fault]:
    """TopK takes a constant k up to 3840, along one of the last four axes, sorted.

    Tried: "K exceeds the maximum value allowed (3840)". NvInfer.h, addTopK: the axes. operators.md
    10.1: `sorted` must be 1; TensorRT-RTX builds 0 and any axis, and is let.
    """
    for node in graph.of("TopK"):
        k = graph.value(input_of(node, 1))
        if k is None or int(k.reshape(-1)[0]) > MOST_VALUES:
            found = "computed" if k is None else str(int(k.reshape(-1)[0]))
            yield Fault(
                f"{node.name} takes the largest k values, and k is {found}; a constant up to "
                f"{MOST_VALUES} was expected",
                f"edgeseg train DATA --top {MOST_VALUES}, or {ELSEWHERE}",
            )
        if target.release.rtx:
            continue
        rank = len(graph.shapes.get(node.input[0], []))
        axis = attribute(node, "axis", -1)
        if axis % max(rank, 1) < rank - 4:
            yield Fault(f"{node.name} works on axis {axis} of {rank}; the last 4 do", EXPORT)
        if attribute(node, "sorted", 1) != 1:
            yield Fault(f"{node.name} has sorted = 0; 1 was expected", EXPORT)


def resize(graph: Graph, target: Target) -> Iterator[Fault]:
    """Resize is plain sampling, nearest or linear, to a constant size, of 3 axes at most.

    operators.md. Tried: "Antialiasing is not supported currently", "Only `stretch` is supported",
    "Linear resize mode only supports resize up to last 3 dimensions", and the list of coordinate
    transformations. TensorRT-RTX builds cubic, and is let.
    """
    for node in graph.of("Resize"):
        modes = (*RESIZE_MODES, "cubic") if target.release.rtx else RESIZE_MODES
        for name, default, allowed in (
            ("antialias", 0, (0,)),
            ("mode", "nearest", modes),
            ("coordinate_transformation_mode", "half_pixel", RESIZE_COORDINATES),
            ("keep_aspect_ratio_policy", "stretch", ("stretch",)),
        ):
            found = attribute(node, name, default)
            if found not in allowed:
                expected = " or ".join(map(str, allowed))
                yield Fault(f"{node.name} has {name} = {found}; {expected} was expected", EXPORT)
        size = next((n for n in (input_of(node, 3), input_of(node, 2)) if n), "")
        if graph.value(size) is None:
            yield Fault(f"the size of {node.name} is computed; a constant was expected", EXPORT)
        before = graph.shapes.get(node.input[0], [])
        after = graph.shapes.get(node.output[0], [])
        changed = [k for k, (a, b) in enumerate(zip(before, after, strict=False)) if a != b]
        if attribute(node, "mode", "nearest") == "linear" and changed:
            if len(before) - changed[0] > LINEAR_AXES:
                yield Fault(
                    f"{node.name} resizes axis {changed[0]} of {len(before)}; linear sampling "
                    f"takes the last {LINEAR_AXES} at most",
                    EXPORT,
                )


def pools(graph: Graph, _: Target) -> Iterator[Fault]:
    """Pooling has no dilation, and MaxPool returns no indices, be they read or not.

    operators.md. Tried: "does not support dilations other than 1", and two outputs are refused.
    """
    for node in graph.of(*POOLS):
        if any(d != 1 for d in attribute(node, "dilations", [])):
            found = list(attribute(node, "dilations", []))
            yield Fault(f"{node.name} has dilations {found}; 1 was expected", ELSEWHERE)
        if len(node.output) > 1:
            yield Fault(f"{node.name} returns indices; one output was expected", ELSEWHERE)


def constant_axes(graph: Graph, _: Target) -> Iterator[Fault]:
    """The axes of a reduction are constants.

    Tried: "Axis input must resolve to a build-time constant".
    """
    for node in graph.nodes:
        axes = input_of(node, 1)
        if node.op_type.startswith("Reduce") and axes and not graph.is_constant(axes):
            yield Fault(f"the axes of {node.name} are computed; constants were expected", EXPORT)


def static_shapes(graph: Graph, _: Target) -> Iterator[Fault]:
    """Every input has a fixed size: edgeseg makes no optimization profiles.

    Tried: "Network has dynamic or shape inputs, but no optimization profile has been defined".
    """
    for tensor in graph.inputs:
        if None in graph.shapes[tensor.name]:
            sizes = ["?" if size is None else size for size in graph.shapes[tensor.name]]
            yield Fault(
                f"the input {tensor.name} has the size {sizes}; a fixed one was expected",
                f"{EXPORT} --frame-size 640x480",
            )


def float_products(graph: Graph, target: Target) -> Iterator[Fault]:
    """For Turing, TensorRT-RTX has no matrix product and no 3-D convolution in Float.

    Tried: "Cannot compile operation for Turing (SM75): FP32 GEMM is not supported", and the same of
    FP32 3D convolution. edgeseg rewrites products with a constant; see products.py.
    """
    if not target.release.lacks_fp32_products(target.capability):
        return
    for node in graph.of("MatMul", "Gemm", "Einsum", "Conv"):
        flat = node.op_type == "Conv" and len(graph.shapes.get(node.input[1], [])) < 5
        if not flat and graph.type_of(node.input[0]) == TensorProto.FLOAT:
            yield Fault(
                f"{node.name} is a {node.op_type} in float, which {target.release} does not build "
                f"for compute capability {target.capability}",
                "--compute-capability 8.6, or --runtime tensorrt beside that GPU",
            )


RULES: tuple[Rule, ...] = (
    opset,
    domains,
    supported,
    topk,
    resize,
    pools,
    constant_axes,
    static_shapes,
    float_products,
)
