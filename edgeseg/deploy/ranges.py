"""How large the numbers get that FP16 has to hold.

A CPU computes Half in Float, so a graph that overflows on a GPU looks sound here. The tensors tell:
whatever a node that is typed Half writes has to stay below 65504 on every frame. In an FP32 graph
those are the nodes that `to_fp16` would type, and their values show how far away the end is; in a
typed graph they are the Half tensors themselves, and one that overflows reads infinity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgeseg.cards import GraphCard
from edgeseg.deploy.precision import MAX, TINY, half_nodes
from edgeseg.extras import require
from edgeseg.runtime.graphs import read_graph
from edgeseg.runtime.threads import cpu_threads

SHOWN = 5


@dataclass(frozen=True)
class Peak:
    """The largest magnitude that a node wrote."""

    node: str
    value: float

    @property
    def fits(self) -> bool:
        """Whether Half holds it; NaN and infinity do not fit."""
        return self.value <= MAX


@dataclass(frozen=True, kw_only=True)
class Constants:
    """The constants that Half holds or would hold: most of them weights."""

    smallest: float
    """The smallest magnitude that is not 0; 0 where there is none."""
    name: str
    subnormal: int
    """How many lie below Half's smallest normal number, 6.1e-05, and lose digits."""
    zeroed: int
    """How many of them Half rounds to 0; in a graph of Halves they are 0 already."""
    count: int


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """How near a graph's numbers come to the ends of Half."""

    graph: str
    typed: bool
    """Whether it has Half tensors; without any, those that `--precision fp16` would make."""
    peaks: tuple[Peak, ...]
    """The largest few, the largest first; empty for a graph with nothing to type."""
    tensors: int
    """How many were watched."""
    constants: Constants

    @property
    def fits(self) -> bool:
        """Whether Half holds every value."""
        return all(peak.fits for peak in self.peaks)

    def lines(self) -> list[str]:
        """Return the peaks, the smallest constant and the verdict, as text."""
        kind = "its Half tensors" if self.typed else "what --precision fp16 would type Half"
        head = f"{self.graph}: {kind}, {self.tensors} tensors"
        rows = [f"  {peak.value:<10.4g} {peak.node}" for peak in self.peaks]
        small = self.constants
        if small.count:
            rows.append(
                f"  {small.smallest:<10.2g} {small.name}: the smallest constant but 0; of all "
                f"{small.count}, {small.subnormal} are below {TINY:.1e} and lose digits, "
                f"{small.zeroed} of them all"
            )
        return [head, *rows, f"  {self.verdict()}"]

    def verdict(self) -> str:
        """Say whether Half holds the numbers."""
        if not self.peaks:
            return "nothing is Half"
        if not self.fits:
            return f"does not fit: {self.peaks[0].node} overflows Half, which ends at {MAX:.0f}"
        return (
            f"fits: the largest is {MAX / max(self.peaks[0].value, TINY):.0f} times below the end"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields and the verdict; infinity as text, because JSON knows none."""
        peaks = [
            {"node": p.node, "value": p.value if np.isfinite(p.value) else str(p.value)}
            for p in self.peaks
        ]
        return asdict(self) | {"peaks": peaks, "fits": self.fits}


def read_ranges(path: Path, frames: Sequence[NDArray[np.uint8]]) -> Ranges:
    """Run a graph's file over frames in its own format and report its ranges."""
    model, card = read_graph(path)
    model = onnx.shape_inference.infer_shapes(model)
    types = {v.name: v.type.tensor_type.elem_type for v in model.graph.value_info}
    halves = {
        node.name
        for node in model.graph.node
        if types.get(node.output[0]) == TensorProto.FLOAT16 and node.op_type != "Constant"
    }
    half = frozenset(halves) or half_nodes(model)
    found = peaks(model, card, half, frames, types) if half else []
    return Ranges(
        graph=str(path),
        typed=bool(halves),
        peaks=tuple(found[:SHOWN]),
        tensors=len(found),
        constants=_constants(model, half, bool(halves)),
    )


def largest(
    model: ModelProto, card: GraphCard, half: frozenset[str], frames: Sequence[NDArray[np.uint8]]
) -> Peak:
    """Run an FP32 graph and return the peak among the outputs of the nodes named in `half`."""
    return peaks(model, card, half, frames, {})[0]


def peaks(
    model: ModelProto,
    card: GraphCard,
    half: frozenset[str],
    frames: Sequence[NDArray[np.uint8]],
    types: Mapping[str, int],
) -> list[Peak]:
    """Run a graph and return the peak of each node named in `half`, the largest first.

    types: tensor -> its element type, Float where there is none.
    """
    ort = require("onnxruntime", extra="cpu")
    watched = ModelProto()
    watched.CopyFrom(model)
    writers = {node.output[0]: node.name for node in model.graph.node if node.name in half}
    for tensor in writers:
        kind = types.get(tensor, TensorProto.FLOAT)
        watched.graph.output.append(helper.make_tensor_value_info(tensor, kind, None))
    options = ort.SessionOptions()
    options.intra_op_num_threads = cpu_threads(None)
    session = ort.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    threshold = np.full(1, card.threshold, np.float32)
    sizes = dict.fromkeys(writers, 0.0)
    for frame in frames:
        values = session.run(list(writers), {"frame": frame, "threshold": threshold})
        for tensor, value in zip(writers, values, strict=True):
            sizes[tensor] = float(np.maximum(sizes[tensor], np.abs(value).max()))
    order = sorted(sizes, key=lambda name: -np.nan_to_num(sizes[name], nan=np.inf))
    return [Peak(writers[tensor], sizes[tensor]) for tensor in order]


def _constants(model: ModelProto, half: frozenset[str], typed: bool) -> Constants:
    """Look at what is Half, or at the Float constants that Half nodes would read."""
    kind = TensorProto.FLOAT16 if typed else TensorProto.FLOAT
    read = {name for node in model.graph.node if node.name in half for name in node.input}
    found = [i for i in model.graph.initializer if i.data_type == kind and i.name in read]
    smallest, name, subnormal, zeroed, count = np.inf, "", 0, 0, 0
    for constant in found:
        values = numpy_helper.to_array(constant)
        sizes = np.abs(values[values != 0])
        count += values.size
        subnormal += int((sizes < TINY).sum())
        zeroed += int((sizes.astype(np.float16) == 0).sum())
        if sizes.size and sizes.min() < smallest:
            smallest, name = float(sizes.min()), constant.name.removeprefix("detector.")
    return Constants(
        smallest=smallest if name else 0.0,
        name=name,
        subnormal=subnormal,
        zeroed=zeroed,
        count=count,
    )
