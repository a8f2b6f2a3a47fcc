"""The report of a profile: time and MACs of each module, and the slowest layers."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.bench.conditions import Conditions
from edgeseg.stream.pipeline.latency import Percentiles
from edgeseg.text import table

STEADY = 1.15  # largest ratio of two medians on an otherwise idle machine
BAR = 30  # characters for 100 %


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """One layer of the runtime."""

    label: str
    """The module or node of the graph; the runtime's name if there is none."""
    name: str
    """The runtime's name."""
    kind: str
    module: str
    ms: float
    gmac: float
    """Billions of multiply-accumulates per run; 0 for layers that only move or compare values."""
    known: bool
    """Whether it belongs to a node of the graph."""


@dataclass(frozen=True, kw_only=True)
class ModuleRow:
    """One module of the network; shares are 0..1."""

    module: str
    layers: int
    ms: float
    time_share: float
    gmac: float
    gmac_share: float

    def cells(self) -> list[str]:
        """Return the row of the table, with the time share as a bar."""
        rate = f"{self.gmac / self.ms * 1e3:.1f}" if self.ms and self.gmac else "-"
        return [
            *(self.module, f"{self.layers}", f"{self.ms:.2f}", f"{self.time_share:.1%}"),
            *(
                f"{self.gmac:.3f}",
                f"{self.gmac_share:.1%}",
                rate,
                "#" * round(self.time_share * BAR),
            ),
        ]


def by_module(layers: Sequence[LayerRow], gmac: Mapping[str, float]) -> tuple[ModuleRow, ...]:
    """Sum up the layers of each module; gmac: the MACs of each module, in the order of the rows."""
    total_ms = sum(layer.ms for layer in layers)
    total_gmac = sum(gmac.values())
    rows = []
    for module, macs in gmac.items():
        own = [layer.ms for layer in layers if layer.module == module]
        rows.append(
            ModuleRow(
                module=module,
                layers=len(own),
                ms=sum(own),
                time_share=sum(own) / total_ms if total_ms else 0.0,
                gmac=macs,
                gmac_share=macs / total_gmac if total_gmac else 0.0,
            )
        )
    return tuple(rows)


@dataclass(frozen=True, kw_only=True)
class ProfileReport(Conditions):
    """The times of layers and modules, with the conditions of the measurement."""

    latency: Percentiles
    """Without layer times."""
    halves: tuple[float, float]
    """Its medians before and after the iterations with layer times, in milliseconds."""
    timed: Percentiles
    """With layer times."""
    layers: tuple[LayerRow, ...]
    """In the order of execution, each with its mean over the iterations."""
    modules: tuple[ModuleRow, ...]
    slowest: int
    """Number of layers that the text lists."""
    document: Path
    """This report as JSON."""
    trace: Path
    """The layers as a Chrome trace."""

    @property
    def layers_ms(self) -> float:
        """Sum of the layer times."""
        return sum(layer.ms for layer in self.layers)

    @property
    def slowdown(self) -> float:
        """Ratio of the median latencies with and without layer times."""
        return self.timed.p50_ms / self.latency.p50_ms

    @property
    def steady(self) -> bool:
        """Whether the two halves agree, as on an otherwise idle machine."""
        return max(self.halves) <= STEADY * min(self.halves)

    def summary(self) -> str:
        head = ["module", "layers", "ms", "time", "GMAC", "MACs", "GMAC/s"]
        slowest = sorted(self.layers, key=lambda layer: layer.ms, reverse=True)[: self.slowest]
        return "\n".join(
            [
                *self.lines(),
                f"latency     {self.latency.line()}, after {self.warmup} warm-up iterations",
                f"layer times {self.timed.line()}: {self.slowdown:.2f} times the latency",
                *self._unsteady(),
                f"layers      {len(self.layers)}, means of {self.timed.n} iterations; sum "
                f"{self.layers_ms:.2f} ms of {self.timed.mean_ms:.2f}",
                "",
                *table([head, *(row.cells() for row in self.modules)], "<>>>>>><"),
                *self._unknown(),
                "",
                f"slowest {len(slowest)} layers",
                *table([self._cells(layer) for layer in slowest], ">>><<"),
                "",
                f"written     {self.document}",
                f"            {self.trace} (open in https://ui.perfetto.dev)",
            ]
        )

    def to_json(self) -> dict[str, Any]:
        document = dataclasses.asdict(self)
        derived = {"layers_ms": self.layers_ms, "slowdown": self.slowdown, "steady": self.steady}
        paths = {"document": str(self.document), "trace": str(self.trace)}
        return document | derived | paths

    def _unsteady(self) -> list[str]:
        if self.steady:
            return []
        before, after = self.halves
        return [
            f"UNSTEADY    median without layer times {before:.2f} ms before, {after:.2f} ms after: "
            "other load on this machine; repeat without it"
        ]

    def _share(self, ms: float) -> float:
        return ms / self.layers_ms if self.layers_ms else 0.0

    def _unknown(self) -> list[str]:
        unknown = [layer for layer in self.layers if not layer.known]
        if not unknown:
            return []
        ms = sum(layer.ms for layer in unknown)
        kinds = ", ".join(sorted({layer.kind or layer.name for layer in unknown}))
        return [
            f"{ms:.2f} ms ({self._share(ms):.1%}) in {len(unknown)} layers of the runtime without "
            f"a node in the graph: {kinds}"
        ]

    def _cells(self, layer: LayerRow) -> list[str]:
        name = f"  ({layer.name})" if layer.name != layer.label else ""
        share, gmac = f"{self._share(layer.ms):.1%}", f"{layer.gmac:.3f} GMAC"
        return [f"{layer.ms:.2f} ms", share, gmac, layer.module, layer.label + name]
