"""An exported ONNX graph in PyTorch, node by node, each in the types that the graph states.

    run = TypedGraph(to_fp16(model), "cuda")
    outputs = run({"frame": frame, "threshold": threshold})

A convolution that the graph types FP16 is one in cuDNN's FP16; nothing is converted but where the
graph has a Cast. Only the operations of edgeseg's graphs are known.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor
from torch.nn import functional as F

from edgeseg.graph.graph import Graph, attribute, constant, input_of, name_of

Operation = Callable[[Any, list[Any]], Any]
"""(node, inputs; None for one that is left out) -> output"""
_TYPES = {1: torch.float32, 2: torch.uint8, 6: torch.int32, 7: torch.int64, 9: torch.bool,
          10: torch.float16}  # fmt: skip


class TypedGraph:
    """A graph on a device; its constants are copied there once."""

    def __init__(self, model: ModelProto, device: str) -> None:
        self._graph, self._device = Graph(model), device
        self._constants: dict[str, Tensor] = {}
        for node in self._graph.nodes:
            if node.op_type not in OPERATIONS and node.op_type != "Constant":
                raise NotImplementedError(f"{node.op_type} in {node.name}")
            for tensor in node.inputs:
                values = constant(tensor)
                if tensor is not None and values is not None:
                    self._constants[name_of(tensor)] = torch.tensor(values, device=device)

    @property
    def half_convolutions(self) -> int:
        """How many convolutions compute in FP16."""
        weights = [node.inputs[1] for node in self._graph.convolutions()]
        found = [self._constants[name_of(weight)] for weight in weights if weight is not None]
        return sum(weight.dtype is torch.float16 for weight in found)

    @torch.inference_mode()
    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        values = self._constants | {k: v.to(self._device) for k, v in inputs.items()}
        for node in self._graph.nodes:
            if node.op_type == "Constant":
                continue
            given = [None if tensor is None else values[name_of(tensor)] for tensor in node.inputs]
            values[name_of(node.outputs[0])] = OPERATIONS[node.op_type](node, given)
        return {name_of(output): values[name_of(output)] for output in self._graph.outputs}


def _conv(node: Any, x: list[Any]) -> Any:
    top, left, bottom, right = attribute(node, "pads", (0, 0, 0, 0))
    padded = F.pad(x[0], (left, right, top, bottom)) if (top, left) != (bottom, right) else x[0]
    padding = (top, left) if padded is x[0] else (0, 0)
    bias = x[2] if len(x) > 2 else None
    return F.conv2d(
        padded, x[1], bias, tuple(attribute(node, "strides", (1, 1))), padding,
        tuple(attribute(node, "dilations", (1, 1))), attribute(node, "group", 1),
    )  # fmt: skip


def _max_pool(node: Any, x: list[Any]) -> Any:
    top, left, *_ = attribute(node, "pads", (0, 0, 0, 0))
    strides = tuple(attribute(node, "strides", (1, 1)))
    return F.max_pool2d(x[0], tuple(attribute(node, "kernel_shape", ())), strides, (top, left))


def _resize(node: Any, x: list[Any]) -> Any:
    mode = attribute(node, "coordinate_transformation_mode", "half_pixel")
    assert (mode, attribute(node, "mode", "nearest")) == ("half_pixel", "linear"), node.name
    shape = node.outputs[0].shape
    return F.interpolate(x[0], (int(shape[2]), int(shape[3])), mode="bilinear")


def _reduced(function: Callable[..., Tensor]) -> Operation:
    def reduce(node: Any, x: list[Any]) -> Any:
        axes = x[1].tolist() if input_of(node, 1) is not None else attribute(node, "axes", None)
        return function(x[0], dim=axes, keepdim=bool(attribute(node, "keepdims", 1)))

    return reduce


def _clip(node: Any, x: list[Any]) -> Any:
    low, high = [*x[1:], None, None][:2]
    return torch.clamp(x[0], low, high)


def _squeeze(node: Any, x: list[Any]) -> Any:
    return x[0].squeeze(tuple(x[1].tolist())) if len(x) > 1 else x[0].squeeze()


OPERATIONS: dict[str, Operation] = {
    "Add": lambda node, x: x[0] + x[1],
    "Cast": lambda node, x: x[0].to(_TYPES[int(attribute(node, "to", 1))]),
    "Clip": _clip,
    "Concat": lambda node, x: torch.cat(x, attribute(node, "axis", 0)),
    "Conv": _conv,
    "Div": lambda node, x: x[0] / x[1],
    "Expand": lambda node, x: x[0].expand(x[1].tolist()),
    "Gather": lambda node, x: torch.index_select(x[0], attribute(node, "axis", 0), x[1].flatten()),
    "Greater": lambda node, x: x[0] > x[1],
    "MatMul": lambda node, x: x[0] @ x[1],
    "MaxPool": _max_pool,
    "Mul": lambda node, x: x[0] * x[1],
    "Neg": lambda node, x: -x[0],
    "ReduceL2": _reduced(lambda t, **how: torch.linalg.vector_norm(t, **how)),
    "ReduceMax": _reduced(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "Relu": lambda node, x: torch.relu(x[0]),
    "Reshape": lambda node, x: x[0].reshape(x[1].tolist()),
    "Resize": _resize,
    "Sigmoid": lambda node, x: torch.sigmoid(x[0]),
    "Squeeze": _squeeze,
    "Sub": lambda node, x: x[0] - x[1],
    "TopK": lambda node, x: torch.topk(x[0], int(x[1]), attribute(node, "axis", -1)).values,
    "Transpose": lambda node, x: x[0].permute(attribute(node, "perm", ())),
    "Where": lambda node, x: torch.where(*x),
}
