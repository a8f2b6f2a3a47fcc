"""How near a graph's numbers come to the ends of FP16: what a comparison on a CPU cannot see.

In an FP32 graph the tensors that `--precision fp16` would type are watched: their values show how
far away 65504 is. In a graph with Half tensors it is those, and one that overflows reads infinity,
even where the runtime hides it from the maps by computing in Float.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from edgeseg.graph.blocks import blocks_of
from edgeseg.graph.files import read_graph
from edgeseg.quantize.fp16 import MAX, TINY, half_nodes
from edgeseg.quantize.ranges import Peak, magnitudes

SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Constants:
    """The constants that Half holds or would hold: most of them weights."""

    smallest: float
    """The smallest magnitude that is not 0; 0 where there is none."""
    name: str
    subnormal: int
    """How many lie below Half's smallest normal number, 6.1e-05, and lose digits."""
    zeroed: int
    """How many of those Half rounds to 0; in a graph of Halves they are 0 already."""
    count: int


@dataclass(frozen=True, kw_only=True)
class Headroom:
    """The largest tensors and the smallest constant of a graph, beside the ends of Half."""

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
        kind = "its Half tensors" if self.typed else "what --precision fp16 would make Half"
        rows = [f"  {peak.value:<10.4g} {peak.node}" for peak in self.peaks]
        small = self.constants
        if small.count:
            rows.append(f"  {small.smallest:<10.2g} {small.name}, the smallest constant but 0")
            lost = f"  of {small.count} constants {small.subnormal} are below {TINY:.1e} and "
            rows.append(lost + f"lose digits, {small.zeroed} of them all: weights, no lone epsilon")
        return [f"{self.graph}: {kind}, {self.tensors} tensors", *rows, f"  {self.verdict()}"]

    def verdict(self) -> str:
        """Say whether Half holds the numbers."""
        if not self.peaks:
            return "nothing is Half"
        first = self.peaks[0]
        if not self.fits:
            return f"does not fit: {first.node} overflows Half, which ends at {MAX:.0f}"
        return f"fits: Half ends {MAX / max(first.value, TINY):.3g} times higher than the largest"

    def to_json(self) -> dict[str, Any]:
        """Return the fields and the verdict; infinity as text, because JSON knows none."""
        peaks = [
            {"node": p.node, "value": p.value if np.isfinite(p.value) else str(p.value)}
            for p in self.peaks
        ]
        return asdict(self) | {"peaks": peaks, "fits": self.fits}


def read_headroom(path: Path, frames: Sequence[NDArray[np.uint8]]) -> Headroom:
    """Run a graph's file in ONNX Runtime over frames in its own format."""
    model, card = read_graph(path)
    model = onnx.shape_inference.infer_shapes(model)
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    halves = {
        node.name
        for node in model.graph.node
        if types.get(node.output[0]) == TensorProto.FLOAT16 and node.op_type != "Constant"
    }
    half = frozenset(halves) or half_nodes(model)
    writers = {node.output[0]: node.name for node in model.graph.node if node.name in half}
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(_output(t, types) for t in writers if t not in known)
    sizes = magnitudes(model, card, list(writers), frames)
    blocks = {name: block.name for block in blocks_of(model, half) for name in block.nodes}
    largest = list(sizes)[:SHOWN]
    return Headroom(
        graph=str(path),
        typed=bool(halves),
        peaks=tuple(Peak(_named(writers[t], blocks), sizes[t]) for t in largest),
        tensors=len(writers),
        constants=_constants(model, half, typed=bool(halves)),
    )


def _named(node: str, blocks: dict[str, str]) -> str:
    """Add the module to a name that is only a number: `node_add (student.layer3.0)`."""
    return node if "." in node or node not in blocks else f"{node} ({blocks[node]})"


def _output(tensor: str, types: dict[str, int]) -> ValueInfoProto:
    return helper.make_tensor_value_info(tensor, types.get(tensor, TensorProto.FLOAT), None)


def _constants(model: ModelProto, half: frozenset[str], *, typed: bool) -> Constants:
    """Look at the Half constants, or at the Float ones that Half nodes would read."""
    kind = TensorProto.FLOAT16 if typed else TensorProto.FLOAT
    read = {name for node in model.graph.node if node.name in half for name in node.input}
    smallest, name, subnormal, zeroed, count = np.inf, "", 0, 0, 0
    for constant in model.graph.initializer:
        if constant.data_type != kind or constant.name not in read:
            continue
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
