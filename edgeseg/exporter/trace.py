"""A PyTorch module to an ONNX graph with plain, static operations and readable names."""

from collections.abc import Sequence

import torch
from onnx import ModelProto
from torch import Tensor, nn

OPSET = 19  # the first in which the scale of QuantizeLinear may be FP16
PREFIX = "detector."  # of the weights' names in the exported module
NONE: tuple[str, ...] = ()
OWNED = {"Conv": (".weight",), "MatMul": (".band",)}  # the parameter whose module a node is


def trace(
    module: nn.Module, inputs: tuple[Tensor, ...], names: Sequence[str], outputs: Sequence[str]
) -> ModelProto:
    """Return the graph of a module in eval mode, with batch normalization folded in.

    names, outputs: of the graph's inputs and outputs. Errors of `torch.onnx` pass.
    """
    program = torch.onnx.export(
        module,
        inputs,
        dynamo=True,
        opset_version=OPSET,
        input_names=list(names),
        output_names=list(outputs),
        verbose=False,
    )
    assert program is not None, "only a call with a path returns nothing"
    model: ModelProto = program.model_proto
    _tidy(model)
    return model


def _tidy(model: ModelProto) -> None:
    """Name convolutions and banded products after their weights, and drop the exporter's notes.

    Every runtime's profile shows the names. The notes contain paths of this machine.
    """
    for message in (*model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del message.metadata_props[:]
    names = {node.name for node in model.graph.node}
    for node in model.graph.node:
        owned = [name for name in node.input if name.endswith(OWNED.get(node.op_type, NONE))]
        name = owned[0].removeprefix(PREFIX).rpartition(".")[0] if owned else ""
        if name and name not in names:
            node.name = name
            names.add(name)
