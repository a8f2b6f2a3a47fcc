"""What a built engine really computes in: the layer list of TensorRT-RTX's build log.

At detailed verbosity the log ends with the engine's layers, in the inspector's words, one a line:

    Name: conv1_myl0_4, LayerType: correlation, Inputs: [ { ..., Datatype: Half, ... }],
        Constants: [...], Outputs: [...], TacticName: ..., Metadata: [ONNX Layer: conv1][...]

It is all that can be known of an engine on a machine that cannot run it: which type each
convolution reads, and that the unit vectors of DeSTSeg were kept in Float.
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
UNKNOWN = "an unknown type"
_TENSOR = re.compile(
    r" Name: (\w+), IOMode: (?:Input|Output), DataType: (\w+), Dimensions: \[([\d,]*)\]"
)


@dataclass(frozen=True)
class Layer:
    """One kernel: its kind, its tensors' types (`Half`, `Float`), the ONNX nodes fused in it.

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
            inputs=tuple(_TYPE.findall(found["inputs"])),
            outputs=tuple(_TYPE.findall(found["outputs"])),
            nodes=frozenset(_NODE.findall(found["rest"])),
            weights=tuple(_WEIGHT.findall(found["constants"])),
        )
        for found in map(_LAYER.match, lines)
        if found
    ]


def check_tensors(lines: Iterable[str], model: ModelProto) -> None:
    """BuildError unless the engine's inputs and outputs, by its build log, are the graph's."""
    found = {m[1]: (m[2], m[3]) for m in map(_TENSOR.match, lines) if m}
    for tensor in (*model.graph.input, *model.graph.output):
        kind = tensor.type.tensor_type
        shape = ",".join(str(d.dim_value) for d in kind.shape.dim)
        if found.get(tensor.name) != (_TENSOR_TYPES[kind.elem_type], shape):
            raise BuildError(
                f"The engine's tensor {tensor.name} is {found.get(tensor.name)}; "
                f"{_TENSOR_TYPES[kind.elem_type]} [{shape}] was expected.",
                remedy="report this with the version of TensorRT",
            )


@dataclass(frozen=True)
class Types:
    """What each convolution reads and each norm computes in, by the name of the ONNX node."""

    convolutions: dict[str, str]
    norms: dict[str, str]

    def counts(self) -> dict[str, int]:
        """Return for the card: convolutions, convolutions_half, ..., norms, norms_float, ..."""
        counts = {"convolutions": len(self.convolutions), "norms": len(self.norms)}
        counts |= Counter(f"convolutions_{kind.lower()}" for kind in self.convolutions.values())
        counts |= Counter(f"norms_{kind.lower()}" for kind in self.norms.values())
        return counts

    def check(self, half: frozenset[str], int8: frozenset[str] = frozenset()) -> None:
        """BuildError unless each node has the type that the graph gives it.

        half: the nodes that are typed Half, none for an FP32 engine; int8: the convolutions that
        read INT8.
        """
        for name, found in (self.convolutions | self.norms).items():
            expected = "Int8" if name in int8 else "Half" if name in half else "Float"
            if found != expected:
                raise BuildError(
                    f"{name} computes in {found} in the engine; {expected} was expected.",
                    remedy="--precision fp32, and report this with the version of TensorRT",
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
    """Return the type of what a convolution reads.

    Kernels beside the convolution's own may carry its name too: generated ones (`kgen`) that pad
    its channels before it, or cast and resize after it. A 1 x 1 convolution of one pixel is a
    matrix product (`runtime_fusion`). Where a sum is fused into a convolution, its first input may
    be the other summand: its weights then tell.
    """
    own = [layer for layer in carriers if layer.kind != "kgen"] or carriers
    if not own or not own[0].inputs:
        return UNKNOWN
    kernel = own[0]
    mixed = len(set(kernel.inputs)) > 1 and len(set(kernel.weights)) == 1
    return kernel.weights[0] if mixed else kernel.inputs[0]


def _inner_type(carriers: list[Layer], source: str) -> str:
    """Return what a norm of the tensor `source` computes in.

    It starts in one kernel and ends in another: the first reads Half, casts, and writes Float; the
    second reads that Float. Where only a convolution reads the product, one kernel does it all, and
    has the casts at both its ends.
    """
    if not carriers:
        return UNKNOWN
    if len(carriers) == 1:
        nodes = carriers[0].nodes
        if f"{source}/fp32" in nodes and any(name.endswith("/fp16") for name in nodes):
            return "Float"
    floats = all("Float" in c.inputs or set(c.outputs) == {"Float"} for c in carriers)
    return "Float" if floats else "Half"
