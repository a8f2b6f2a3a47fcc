"""FP32 to FP16 in a PyTorch module: the division of precision.py, for builders that take a module.

PyTorch computes in the type that it is given, so it is enough to say where a type begins:

    a convolution in `half`               its weights are Half, and what it reads is cast to Half
    any other, a mean, a normalization    what it reads is cast to Float
    what lies between                     takes the type of its inputs; Half and Float make Float

The unit vectors, the map and the score are Float by the model's own casts; so are, unlike in the
graph, the resize and the concatenation of the products. Batch normalization goes into its
convolution first, as in the exported graph.
"""

from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgeseg.errors import BuildError

FLOATS = (nn.AdaptiveAvgPool2d, nn.BatchNorm2d)
CLOSE = 1e-4  # of the maps, once batch normalization has gone into the convolutions
REMEDY = "--via onnx, or --precision fp32"
aten = torch.ops.aten
IN_FLOAT = frozenset(
    (
        aten.linalg_vector_norm.default,
        aten.mean.dim,
        aten.adaptive_avg_pool2d.default,
        aten.batch_norm.default,
        aten.div.Tensor,
        aten.matmul.default,
        aten.topk.default,
        aten.where.self,
    )
)
"""The operations that lose too much in Half, as an exported program calls them."""


def to_half(
    module: nn.Module, half: frozenset[str], inputs: tuple[Tensor, ...], *, prefix: str
) -> nn.Module:
    """Return a copy of a module in eval mode whose convolutions named in `half` compute in Half.

    half: paths below `prefix`; inputs: what the module takes, of any values. BuildError where its
    answers change by more than rounding before any type has changed.
    """
    typed = deepcopy(module)
    before = typed(*inputs)[-1]
    _fold(typed, inputs)
    difference = float((typed(*inputs)[-1] - before).abs().max())
    if not difference <= CLOSE:
        raise BuildError(
            f"With batch normalization in its convolutions the model's map differs by "
            f"{difference:.1e}; {CLOSE:g} was expected.",
            remedy=REMEDY,
        )
    for name, layer in typed.named_modules():
        if isinstance(layer, nn.Conv2d) and name.removeprefix(prefix) in half:
            layer.half()
            layer.register_forward_pre_hook(partial(_cast, torch.float16))
        elif isinstance(layer, (nn.Conv2d, *FLOATS)):
            layer.register_forward_pre_hook(partial(_cast, torch.float32))
    return typed


def check_types(program: ExportedProgram, half: frozenset[str], *, prefix: str) -> int:
    """Return how many convolutions of a program read Half; BuildError unless they are `half`.

    Nor may an operation of IN_FLOAT read Half, or an output be anything but bytes or Float.
    """
    weights = program.graph_signature.inputs_to_parameters
    found = set()
    for node in program.graph.nodes:
        reads = {a.meta["val"].dtype for a in node.args if _is_tensor(a)}
        if node.target is aten.conv2d.default and torch.float16 in reads:
            found.add(weights[node.args[1].name].removeprefix(prefix).removesuffix(".weight"))
        elif node.target in IN_FLOAT and torch.float16 in reads:
            raise BuildError(f"{node.name} would compute in Half.", remedy=REMEDY)
    (end,) = (node for node in program.graph.nodes if node.op == "output")
    types = [node.meta["val"].dtype for node in end.args[0]]
    if wrong := sorted(found ^ half):
        raise BuildError(
            f"{len(wrong)} convolutions have another type than in the ONNX graph, for instance "
            f"{wrong[0]}.",
            remedy=REMEDY,
        )
    if not set(types) <= {torch.uint8, torch.float32}:
        raise BuildError(f"The model's outputs would be {types}.", remedy=REMEDY)
    return len(found)


def _fold(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Put each batch normalization that reads a convolution's output into the convolution."""
    sources: dict[int, tuple[Tensor, nn.Conv2d]] = {}
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def came_from(layer: nn.Module, _: Any, output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        sources[id(output)] = (output, layer)  # the tensor too, or its id is soon another's

    def reads(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.BatchNorm2d)
        if id(given[0]) in sources:
            pairs.append((sources[id(given[0])][1], layer))

    hooks = [
        layer.register_forward_hook(came_from)
        if isinstance(layer, nn.Conv2d)
        else layer.register_forward_pre_hook(reads)
        for layer in module.modules()
        if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d))
    ]
    module(*inputs)
    for hook in hooks:
        hook.remove()
    for conv, norm in pairs:
        folded = nn.utils.fuse_conv_bn_eval(conv, norm)
        conv.weight, conv.bias = folded.weight, folded.bias
        _replace(module, norm)


def _replace(module: nn.Module, norm: nn.BatchNorm2d) -> None:
    """Leave of a batch normalization what timm's kind does after it: its activation."""
    rest = nn.Sequential(*(part for _, part in norm.named_children()))
    path = next(name for name, layer in module.named_modules() if layer is norm)
    module.set_submodule(path, rest)


def _cast(kind: torch.dtype, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (inputs[0].to(kind), *inputs[1:])


def _is_tensor(argument: object) -> bool:
    return isinstance(argument, torch.fx.Node) and isinstance(argument.meta.get("val"), Tensor)
