"""The types that an engine computes in, by the ONNX nodes of its layers.

Where no GPU can run the engine, its list of layers is the only evidence of its types: which type
each convolution and product of the resize reads, and that the norms of the similarity stay in FP32.
A type that the list does not show is unknown, which is counted; one that contradicts the graph is
an error.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from onnx import ModelProto, TensorProto

from edgeseg.engine.layer_list import UNKNOWN, Layer, word_of
from edgeseg.errors import BuildError
from edgeseg.quantize.fp16 import RESIZE

_TENSOR_TYPES = {TensorProto.UINT8: "UInt8", TensorProto.FLOAT: "FP32"}
_TENSOR = re.compile(
    r" Name: (\w+), IOMode: (?:Input|Output), DataType: (\w+), Dimensions: \[([\d,]*)\]"
)
_NO_KERNELS = ("Reformat", "NoOp", "kgen")  # kinds of layers that mostly pad, cast or copy


def check_tensors(lines: Iterable[str], model: ModelProto) -> None:
    """BuildError if an input or output in the build log differs from that of the graph."""
    found = {m[1]: (word_of(m[2]), m[3]) for m in map(_TENSOR.match, lines) if m}
    for tensor in (*model.graph.input, *model.graph.output):
        kind = tensor.type.tensor_type
        shape = ",".join(str(d.dim_value) for d in kind.shape.dim)
        expected = (_TENSOR_TYPES[kind.elem_type], shape)
        if found.get(tensor.name, expected) != expected:
            listed = "{} [{}]".format(*found[tensor.name])
            raise BuildError(
                f"The tensor {tensor.name} of the engine is {listed} (expected "
                f"{expected[0]} [{shape}]).",
                remedy="report this with the version of TensorRT",
                code="build/tensors",
            )


@dataclass(frozen=True)
class Types:
    """What convolutions and products of the resize read and norms compute in, by ONNX node."""

    convolutions: dict[str, str]
    norms: dict[str, str]
    products: dict[str, str]

    def counts(self) -> dict[str, int]:
        """Return for the card: convolutions, convolutions_fp16, ..., norms, norms_fp32, ..."""
        found = asdict(self)
        counts = {k: len(types) for k, types in found.items() if types or k != "products"}
        for kind, types in found.items():
            counts |= Counter(f"{kind}_{word.lower()}" for word in types.values())
        return counts

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return len(self.convolutions | self.norms | self.products)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The nodes whose type is not known."""
        found = self.convolutions | self.norms | self.products
        return tuple(name for name, kind in found.items() if kind == UNKNOWN)

    def check(self, half: frozenset[str], int8: frozenset[str] = frozenset()) -> None:
        """BuildError if a node has another type than the graph gives it.

        half: the nodes typed FP16, none for an FP32 engine; int8: the convolutions that read INT8.
        """
        for name, found in (self.convolutions | self.norms | self.products).items():
            expected = "INT8" if name in int8 else "FP16" if name in half else "FP32"
            if found not in (expected, UNKNOWN):
                raise BuildError(
                    f"{name} computes in {found} in the engine (expected {expected}).",
                    remedy="--precision fp32, and report this with the version of TensorRT",
                    code="build/types",
                )


def read_types(model: ModelProto, layers: list[Layer]) -> Types:
    """Look up convolutions, norms and the resize of a graph among the layers of its engine."""
    convolutions, norms, products = {}, {}, {}
    for node in model.graph.node:
        carriers = [layer for layer in layers if node.name in layer.nodes]
        if node.op_type == "Conv":
            convolutions[node.name] = _input_type(carriers)
        elif node.op_type == "ReduceL2":
            norms[node.name] = _inner_type(carriers, node.input[0].removesuffix("/fp32"))
        elif node.op_type == "MatMul" and node.name.startswith(RESIZE):
            products[node.name] = _product_type(carriers)
    return Types(convolutions, norms, products)


def _input_type(carriers: list[Layer]) -> str:
    """Return the type that a convolution reads.

    Other kernels may carry its name too: generated ones (`kgen`) that pad its channels before it,
    or cast and resize after it. A 1 x 1 convolution of one pixel is a matrix product
    (`runtime_fusion`). Without a kernel of its own, a type that all of them share is its type.
    Where an addition is fused into a convolution, the first input may be the
    other summand: the type of the weights then decides.
    """
    own = [layer for layer in carriers if layer.kind not in _NO_KERNELS]
    if not own:
        shown = {kind for c in carriers for kind in (*c.inputs, *c.outputs)}
        return shown.pop() if len(shown) == 1 else UNKNOWN
    kernel = own[0]
    if not kernel.inputs:
        return UNKNOWN
    if len(set(kernel.inputs)) == 1:
        return kernel.inputs[0]
    if len(set(kernel.weights)) == 1:
        return kernel.weights[0]
    return kernel.inputs[0] if kernel.sure else UNKNOWN


def _product_type(carriers: list[Layer]) -> str:
    """Return the type that a product reads; of one that became a sum, the type that it writes.

    A sum may be fused with the cast of the frame before it, and then reads bytes.
    """
    kernels = [layer for layer in carriers if layer.kind not in _NO_KERNELS and layer.inputs]
    if kernels:
        return kernels[0].inputs[0]
    return carriers[0].outputs[0] if carriers and carriers[0].outputs else UNKNOWN


def _inner_type(carriers: list[Layer], source: str) -> str:
    """Return the type that a norm of the tensor `source` computes in.

    It starts in one kernel, which reads FP16, casts, and writes FP32, and ends in another, which
    reads that FP32. Where only a convolution reads the similarity, one kernel does everything and
    has the casts at both ends; without them its list does not show the type inside.
    """
    if not carriers:
        return UNKNOWN
    if all("FP32" in c.inputs or set(c.outputs) == {"FP32"} for c in carriers):
        return "FP32"
    if len(carriers) == 1:
        nodes = carriers[0].nodes
        cast = f"{source}/fp32" in nodes and any(name.endswith("/fp16") for name in nodes)
        return "FP32" if cast else UNKNOWN
    shown = {kind for c in carriers for kind in (*c.inputs, *c.outputs)}
    return "FP16" if shown == {"FP16"} else UNKNOWN
