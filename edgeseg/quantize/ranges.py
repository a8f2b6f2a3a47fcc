"""How large the numbers get that FP16 has to hold.

A CPU computes Half in Float, so a graph that overflows on a GPU looks sound here. The FP32 graph
tells: whatever a node that is typed Half writes has to stay below 65504 on every frame.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from edgeseg.cards import GraphCard
from edgeseg.machine.threads import cpu_threads
from edgeseg.quantize.fp16 import MAX
from edgeseg.runtime.onnxrt import open_session

Frames = Iterable[NDArray[np.uint8]]


@dataclass(frozen=True)
class Peak:
    """The largest magnitude that a node wrote."""

    node: str
    value: float

    @property
    def fits(self) -> bool:
        """Whether Half holds it; NaN and infinity do not fit."""
        return self.value <= MAX


def largest(
    model: ModelProto, card: GraphCard, half: frozenset[str], frames: Sequence[NDArray[np.uint8]]
) -> Peak:
    """Run an FP32 graph and return the peak among the outputs of the nodes named in `half`."""
    writers = {node.output[0]: node.name for node in model.graph.node if node.name in half}
    found = magnitudes(model, card, list(writers), frames)
    tensor = next(iter(found))
    return Peak(writers[tensor], found[tensor])


def magnitudes(
    model: ModelProto, card: GraphCard, tensors: Sequence[str], frames: Frames
) -> dict[str, float]:
    """Return the largest magnitude of each named tensor, NaN and the largest first."""
    sizes = dict.fromkeys(tensors, 0.0)
    for values in watch(model, card, tensors, frames) if tensors else ():
        for tensor, value in zip(tensors, values, strict=True):
            sizes[tensor] = float(np.maximum(sizes[tensor], np.abs(value).max()))
    order = sorted(sizes, key=lambda tensor: -np.nan_to_num(sizes[tensor], nan=np.inf))
    return {tensor: sizes[tensor] for tensor in order}


def watch(
    model: ModelProto, card: GraphCard, tensors: Sequence[str], frames: Frames
) -> Iterator[list[NDArray[np.float32]]]:
    """Run an FP32 graph; yield the values of the named tensors, in their order, for each frame.

    frames: each uint8 [N, H, W, C], as the graph takes them.
    """
    watched = ModelProto()
    watched.CopyFrom(model)
    known = {output.name for output in model.graph.output}
    for tensor in dict.fromkeys(tensors):
        if tensor not in known:
            output = helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None)
            watched.graph.output.append(output)
    session = open_session(watched.SerializeToString(), cpu_threads(None))
    threshold = np.full(1, card.threshold, np.float32)
    for frame in frames:
        yield session.run(list(tensors), {"frame": frame, "threshold": threshold})
