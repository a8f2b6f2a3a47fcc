"""Runs an FP32 graph and records the values of inner tensors.

A CPU computes FP16 in FP32, so a graph that overflows on a GPU looks sound there. The FP32 graph
tells: whatever an FP16 node is going to write must stay below 65504 on every frame.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto

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
        """Whether FP16 holds it; NaN and infinity do not fit."""
        return self.value <= MAX


def largest(
    model: ModelProto, card: GraphCard, half: frozenset[str], frames: Sequence[NDArray[np.uint8]]
) -> Peak:
    """Run an FP32 graph and return the peak among the outputs of the nodes named in `half`."""
    return peaks(model, card, half, frames)[0]


def peaks(model: ModelProto, card: GraphCard, nodes: frozenset[str], frames: Frames) -> list[Peak]:
    """Return the peak of each named node over the frames: NaN first, then the largest."""
    writers = {node.output[0]: node.name for node in model.graph.node if node.name in nodes}
    values = dict.fromkeys(writers, 0.0)
    for outputs in watch(model, card, list(writers), frames) if writers else ():
        for tensor, output in zip(writers, outputs, strict=True):
            values[tensor] = float(np.maximum(values[tensor], np.abs(output).max()))
    found = [Peak(writers[tensor], value) for tensor, value in values.items()]
    return sorted(found, key=lambda peak: -np.nan_to_num(peak.value, nan=np.inf))


def watch(
    model: ModelProto, card: GraphCard, tensors: Sequence[str], frames: Frames
) -> Iterator[list[NDArray[np.float32]]]:
    """Run a graph; yield the values of the named tensors, in their order, for each frame.

    frames: each uint8 [N, H, W, C], as the graph takes them.
    """
    watched = ModelProto()
    watched.CopyFrom(model)
    known = {output.name for output in model.graph.output}
    new = [tensor for tensor in dict.fromkeys(tensors) if tensor not in known]
    watched.graph.output.extend(ValueInfoProto(name=tensor) for tensor in new)
    session = open_session(watched.SerializeToString(), cpu_threads(None))
    threshold = np.full(1, card.threshold, np.float32)
    for frame in frames:
        yield session.run(list(tensors), {"frame": frame, "threshold": threshold})
