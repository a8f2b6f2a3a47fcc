"""A profile's result: each part's share of the time beside its share of the work."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.bench.circumstances import Circumstances
from edgeseg.bench.timing import Percentiles

REST = "rest"
STEADY = 1.15  # ratio of two medians of runs that nothing else disturbs


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """One layer of the runtime."""

    label: str
    """The module or node that it stands for; where there is none, `name`."""
    name: str
    """The runtime's name."""
    kind: str
    part: str
    ms: float
    gmac: float
    """Billions of multiply-accumulates in a run; 0 for what only moves or compares numbers."""
    known: bool
    """Whether a node of the graph is known of it."""


@dataclass(frozen=True, kw_only=True)
class PartRow:
    """One part of the network; shares are of 1."""

    part: str
    layers: int
    ms: float
    time_share: float
    gmac: float
    gmac_share: float

    def line(self) -> str:
        """Return the row as text."""
        rate = f"{self.gmac / self.ms * 1e3:7.1f}" if self.ms and self.gmac else f"{'-':>7}"
        return (
            f"{self.part:10}  {self.layers:6}  {self.ms:8.2f}  {self.time_share:6.1%}  "
            f"{self.gmac:7.3f}  {self.gmac_share:6.1%}  {rate}"
        )


def by_part(layers: Sequence[LayerRow], gmac: Mapping[str, float]) -> tuple[PartRow, ...]:
    """Add up the layers of each part, in the order of `gmac`, which holds each part's work."""
    total_ms = sum(layer.ms for layer in layers)
    total_gmac = sum(gmac.values())
    rows = []
    for part, work in gmac.items():
        own = [layer.ms for layer in layers if layer.part == part]
        rows.append(
            PartRow(
                part=part,
                layers=len(own),
                ms=sum(own),
                time_share=sum(own) / total_ms if total_ms else 0.0,
                gmac=work,
                gmac_share=work / total_gmac if total_gmac else 0.0,
            )
        )
    return tuple(rows)


@dataclass(frozen=True, kw_only=True)
class ProfileReport(Circumstances):
    """Where the time of a run goes, on what, and how it was found out."""

    latency: Percentiles
    """Of runs whose layers were not timed."""
    halves: tuple[float, float]
    """Its medians before and behind the runs whose layers were timed, milliseconds."""
    timed: Percentiles
    """Of runs whose layers were timed."""
    layers: tuple[LayerRow, ...]
    """In the order in which they ran, each with its mean over the timed runs."""
    parts: tuple[PartRow, ...]
    slowest: int
    """How many layers the text lists."""
    document: Path
    picture: Path

    @property
    def layers_ms(self) -> float:
        """The layers' times, added up."""
        return sum(layer.ms for layer in self.layers)

    @property
    def slowdown(self) -> float:
        """How many times as long a run takes when its layers are timed, by the medians."""
        return self.timed.p50_ms / self.latency.p50_ms

    @property
    def steady(self) -> bool:
        """Whether the two halves agree: whether the machine had nothing else to do meanwhile."""
        return max(self.halves) <= STEADY * min(self.halves)

    def summary(self) -> str:
        """Return the report as text."""
        batch, height, width, _ = self.frame_shape
        together = f"{self.layers_ms:.2f} ms of {self.timed.mean_ms:.2f}"
        return "\n".join(
            [
                *self.lines(),
                f"frames      {self.frames}; {batch} a run, {width}x{height}",
                f"one run     {self.latency.line()}, after {self.warmup} runs of warm-up",
                f"layer times {self.timed.line()}: {self.slowdown:.2f} times as long",
                *self._unsteady(),
                f"layers      {len(self.layers)}, each with its mean over these {self.timed.n} "
                f"runs; together {together}",
                "",
                "part        layers        ms    time     GMAC    work   GMAC/s",
                *(part.line() for part in self.parts),
                *self._unknown(),
                "",
                f"the slowest {min(self.slowest, len(self.layers))} layers",
                *self._slowest(),
                "",
                f"written     {self.document}, {self.picture}",
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as one JSON object."""
        document = dataclasses.asdict(self)
        derived = {"layers_ms": self.layers_ms, "slowdown": self.slowdown, "steady": self.steady}
        paths = {"document": str(self.document), "picture": str(self.picture)}
        return document | derived | paths

    def _unsteady(self) -> list[str]:
        if self.steady:
            return []
        before, behind = self.halves
        return [
            f"UNSTEADY    without layer times a run took {before:.2f} ms (p50) before and "
            f"{behind:.2f} ms behind:\n            other work on this machine; repeat this "
            "when it has none"
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
            f"of {REST}, {ms:.2f} ms ({self._share(ms):.1%}) in {len(unknown)} layers of which "
            f"no node of the graph is known: {kinds}"
        ]

    def _slowest(self) -> list[str]:
        first = sorted(self.layers, key=lambda layer: layer.ms, reverse=True)[: self.slowest]
        return [
            f"{layer.ms:8.2f} ms  {self._share(layer.ms):6.1%}  {layer.gmac:6.3f} GMAC  "
            f"{layer.part:8} {layer.label}" + f"  ({layer.name})" * (layer.name != layer.label)
            for layer in first
        ]
