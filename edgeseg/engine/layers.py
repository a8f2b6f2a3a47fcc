"""The types of an engine's layers, from the build log of TensorRT-RTX.

At detailed verbosity the log ends with the layers of the engine, one per line:

    Name: conv1_myl0_4, LayerType: correlation, Inputs: [ { ..., Datatype: Half, ... }],
        Constants: [...], Outputs: [...], TacticName: ..., Metadata: [ONNX Layer: conv1][...]

On a machine that cannot run the engine this is the only evidence of its types: which type each
convolution reads, and that the norms of the similarity stay in FP32.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from onnx import ModelProto, TensorProto

from edgeseg.errors import BuildError

_LAYER = re.compile(
    r"Name: (?P<name>.+?), LayerType: (?P<kind>\w+), Inputs: \[(?P<inputs>.*)\], "
    r"Constants: \[(?P<constants>.*)\], Outputs: \[(?P<outputs>.*)\], TacticName: (?P<rest>.*)"
)
_WEIGHT = re.compile(r"Dimensions: \[\d+,\d+,\d+,\d+\].*?Datatype: (\w+)")
_TYPE = re.compile(r"Datatype: (\w+)")
_NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_TENSOR_TYPES = {TensorProto.UINT8: "UInt8", TensorProto.FLOAT: "Float"}
_WORDS = {"Half": "FP16", "Float": "FP32", "Int8": "INT8"}  # TensorRT's -> ours
UNKNOWN = "unknown type"
_TENSOR = re.compile(
    r" Name: (\w+), IOMode: (?:Input|Output), DataType: (\w+), Dimensions: \[([\d,]*)\]"
)


@dataclass(frozen=True)
class Layer:
    """One kernel: its kind, the types of its tensors (`FP16`, `UInt8`), the ONNX nodes fused in it.

    weights: the types of its constants with four axes.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: frozenset[str]
    weights: tuple[str, ...] = ()


def read_layers(lines: Iterable[str]) -> list[Layer]:
    """Find the layers in a build log; none where the log has no list of them."""
    return [
        Layer(
            name=found["name"],
            kind=found["kind"],
            inputs=_types(_TYPE, found["inputs"]),
            outputs=_types(_TYPE, found["outputs"]),
            nodes=frozenset(_NODE.findall(found["rest"])),
            weights=_types(_WEIGHT, found["constants"]),
        )
        for found in map(_LAYER.match, lines)
        if found
    ]


def _types(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    return tuple(_WORDS.get(kind, kind) for kind in pattern.findall(text))


def check_tensors(lines: Iterable[str], model: ModelProto) -> None:
    """BuildError unless the inputs and outputs in the build log are those of the graph."""
    found = {m[1]: (m[2], m[3]) for m in map(_TENSOR.match, lines) if m}
    for tensor in (*model.graph.input, *model.graph.output):
        kind = tensor.type.tensor_type
        shape = ",".join(str(d.dim_value) for d in kind.shape.dim)
        if found.get(tensor.name) != (_TENSOR_TYPES[kind.elem_type], shape):
            raise BuildError(
                f"The tensor {tensor.name} of the engine is {found.get(tensor.name)} (expected "
                f"{_TENSOR_TYPES[kind.elem_type]} [{shape}]).",
                remedy="report this with the version of TensorRT",
                code="build/tensors",
            )


@dataclass(frozen=True)
class Types:
    """What each convolution reads and each norm computes in, by the name of the ONNX node."""

    convolutions: dict[str, str]
    norms: dict[str, str]

    def counts(self) -> dict[str, int]:
        """Return for the card: convolutions, convolutions_fp16, ..., norms, norms_fp32, ..."""
        counts = {"convolutions": len(self.convolutions), "norms": len(self.norms)}
        counts |= Counter(f"convolutions_{kind.lower()}" for kind in self.convolutions.values())
        counts |= Counter(f"norms_{kind.lower()}" for kind in self.norms.values())
        return counts

    def check(self, half: frozenset[str], int8: frozenset[str] = frozenset()) -> None:
        """BuildError unless each node has the type that the graph gives it.

        half: the nodes typed FP16, none for an FP32 engine; int8: the convolutions that read INT8.
        """
        for name, found in (self.convolutions | self.norms).items():
            expected = "INT8" if name in int8 else "FP16" if name in half else "FP32"
            if found != expected:
                raise BuildError(
                    f"{name} computes in {found} in the engine (expected {expected}).",
                    remedy="--precision fp32, and report this with the version of TensorRT",
                    code="build/types",
                )


def read_types(model: ModelProto, layers: list[Layer]) -> Types:
    """Look up the convolutions and norms of a graph among the layers of its engine."""
    convolutions, norms = {}, {}
    for node in model.graph.node:
        carriers = [layer for layer in layers if node.name in layer.nodes]
        if node.op_type == "Conv":
            convolutions[node.name] = _input_type(carriers)
        elif node.op_type == "ReduceL2":
            norms[node.name] = _inner_type(carriers, node.input[0].removesuffix("/fp32"))
    return Types(convolutions, norms)


def _input_type(carriers: list[Layer]) -> str:
    """Return the type that a convolution reads.

    Other kernels may carry its name too: generated ones (`kgen`) that pad its channels before it,
    or cast and resize after it. A 1 x 1 convolution of one pixel is a matrix product
    (`runtime_fusion`). Where an addition is fused into a convolution, the first input may be the
    other summand: the type of the weights then decides.
    """
    own = [layer for layer in carriers if layer.kind != "kgen"] or carriers
    if not own or not own[0].inputs:
        return UNKNOWN
    kernel = own[0]
    mixed = len(set(kernel.inputs)) > 1 and len(set(kernel.weights)) == 1
    return kernel.weights[0] if mixed else kernel.inputs[0]


def _inner_type(carriers: list[Layer], source: str) -> str:
    """Return the type that a norm of the tensor `source` computes in.

    It starts in one kernel, which reads FP16, casts, and writes FP32, and ends in another, which
    reads that FP32. Where only a convolution reads the similarity, one kernel does everything and
    has the casts at both ends.
    """
    if not carriers:
        return UNKNOWN
    if len(carriers) == 1:
        nodes = carriers[0].nodes
        if f"{source}/fp32" in nodes and any(name.endswith("/fp16") for name in nodes):
            return "FP32"
    fp32 = all("FP32" in c.inputs or set(c.outputs) == {"FP32"} for c in carriers)
    return "FP32" if fp32 else "FP16"
