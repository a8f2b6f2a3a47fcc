"""How near a graph's values come to the limits of FP16: a comparison on a CPU does not show it.

In an FP32 graph the tensors that `--precision fp16` would type are watched: their values show how
far away 65504 is. In a graph with FP16 tensors those are watched, and one that overflows reads
infinity, even where the runtime hides it from the maps by computing in FP32. The resize of a frame
is left out: its values are those of pixels, 255 at most.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.graph.blocks import blocks_of
from edgeseg.graph.files import read_graph
from edgeseg.graph.graph import Graph, constant, dtype, name_of
from edgeseg.quantize.fp16 import MAX, TINY, half_nodes, resize_nodes
from edgeseg.quantize.ranges import Peak, peaks

SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Constants:
    """The constants that FP16 holds or would hold, most of them weights."""

    smallest: float
    """The smallest magnitude that is not 0; 0 where there is none."""
    name: str
    subnormal: int
    """How many lie below the smallest normal FP16 number, 6.1e-05, and lose digits."""
    zeroed: int
    """How many of those FP16 rounds to 0; in an FP16 graph they are 0 already."""
    count: int


@dataclass(frozen=True, kw_only=True)
class Headroom:
    """The largest tensors and the smallest constant of a graph, beside the limits of FP16."""

    graph: str
    typed: bool
    """Whether it has FP16 tensors; without any, those that `--precision fp16` would make."""
    peaks: tuple[Peak, ...]
    """The largest few, the largest first; empty for a graph with nothing to type."""
    tensors: int
    """How many were watched."""
    constants: Constants

    @property
    def fits(self) -> bool:
        """Whether FP16 holds every value."""
        return all(peak.fits for peak in self.peaks)

    def lines(self) -> list[str]:
        """Return the peaks, the smallest constant and the verdict, as text."""
        kind = "FP16 tensors" if self.typed else "tensors that --precision fp16 would make FP16"
        rows = [f"  {peak.value:<10.4g} {peak.node}" for peak in self.peaks]
        small = self.constants
        if small.count:
            rows.append(f"  {small.smallest:<10.2g} {small.name} (smallest constant except 0)")
            rows.append(
                f"  of {small.count} constants, {small.subnormal} are below {TINY:.1e} and lose "
                f"digits, and {small.zeroed} become 0 (weights; single scalars stay in FP32)"
            )
        return [f"{self.graph}: {self.tensors} {kind}", *rows, f"  {self.verdict()}"]

    def verdict(self) -> str:
        """Say whether FP16 holds the values."""
        if not self.peaks:
            return "no FP16 tensors"
        first = self.peaks[0]
        if not self.fits:
            return f"does not fit: {first.node} overflows FP16 (maximum {MAX:.0f})"
        return f"fits: the FP16 maximum is {MAX / max(first.value, TINY):.3g} times the largest"

    def to_json(self) -> dict[str, Any]:
        """Return the fields and the verdict; infinity as text, which JSON lacks."""
        peaks = [
            {"node": p.node, "value": p.value if np.isfinite(p.value) else str(p.value)}
            for p in self.peaks
        ]
        return asdict(self) | {"peaks": peaks, "fits": self.fits}


def read_headroom(path: Path, frames: Sequence[NDArray[np.uint8]]) -> Headroom:
    """Run a graph's file in ONNX Runtime over frames in its own format."""
    model, card = read_graph(path)
    graph = Graph(model)
    typed = frozenset(
        name_of(node) for node in graph.nodes if dtype(node.outputs[0]) == ir.DataType.FLOAT16
    )
    half = (typed or half_nodes(model)) - resize_nodes(model)
    found = peaks(model, card, half, frames)
    blocks = {name: block.name for block in blocks_of(model, half) for name in block.nodes}
    return Headroom(
        graph=str(path),
        typed=bool(typed),
        peaks=tuple(Peak(_named(peak.node, blocks), peak.value) for peak in found[:SHOWN]),
        tensors=len(found),
        constants=_constants(graph, half, typed=bool(typed)),
    )


def _named(node: str, blocks: dict[str, str]) -> str:
    """Add the module to a name that is only a number: `node_add (student.layer3.0)`."""
    return node if "." in node or node not in blocks else f"{node} ({blocks[node]})"


def _constants(graph: Graph, half: frozenset[str], *, typed: bool) -> Constants:
    """Look at the FP16 constants, or at the FP32 ones that FP16 nodes would read."""
    kind = np.float16 if typed else np.float32
    reads = [tensor for node in graph.nodes if node.name in half for tensor in node.inputs]
    smallest, name, subnormal, zeroed, count = np.inf, "", 0, 0, 0
    for tensor in dict.fromkeys(reads):
        values = constant(tensor)
        if tensor is None or values is None or values.dtype != kind:
            continue
        sizes = np.abs(values[values != 0])
        count += values.size
        subnormal += int((sizes < TINY).sum())
        zeroed += int((sizes.astype(np.float16) == 0).sum())
        if sizes.size and sizes.min() < smallest:
            smallest, name = float(sizes.min()), name_of(tensor).removeprefix("detector.")
    return Constants(
        smallest=smallest if name else 0.0,
        name=name,
        subnormal=subnormal,
        zeroed=zeroed,
        count=count,
    )
