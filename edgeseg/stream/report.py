"""What a stream did, and where the time of its frames went."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from edgeseg.errors import GateFailed
from edgeseg.machine.clocks import ClockReport
from edgeseg.stream.pipeline.latency import Percentiles


@dataclass(frozen=True, kw_only=True)
class StreamReport:
    """What a stream did, and how long a frame took from arrival to mask."""

    source: str
    engine: str
    mode: str
    """When frames were taken, and how many were in flight."""
    frames: int
    anomalous: int
    drops: int
    """Frames of a live source that were replaced before they were looked at."""
    broken: int
    reconnects: int
    unshown: int
    """Pictures of a live source that the video and the window had no time for."""
    passed: int
    """Frames of a live source between two triggers."""
    missed_beats: int
    """Triggers without a frame, and beats that came while a file's frames still waited."""
    warm_runs: int
    """Runs on nobody's frame."""
    budget_ms: float | None
    misses: int
    """Frames that took longer than the budget from arrival to mask."""
    max_misses: int
    seconds: float
    fps: float
    latency: Percentiles | None
    """Arrival to mask; None when no frame came before the end."""
    stages: dict[str, Percentiles]
    """`wait`, `run`, `submit`, `device`, `sinks`: those that there were."""
    clocks: ClockReport
    """What the machine did meanwhile, where it shows it."""

    def summary(self) -> str:
        """Return the report as text."""
        lines = [
            f"{self.source}: {self.frames} frames in {self.seconds:.1f} s ({self.fps:.1f}/s), "
            f"{self.anomalous} anomalous, {self.drops} dropped, {self.broken} broken, "
            f"{self.reconnects} reconnects",
            f"{self.engine}, {self.mode}{''.join(self._counts())}",
        ]
        if self.latency is not None:
            lines.append(f"arrival to mask  {self.latency.line()}")
            lines += [f"  {name:<15}{stage.line()}" for name, stage in self.stages.items()]
        if self.budget_ms is not None:
            lines.append(
                f"budget {self.budget_ms:g} ms: {self.misses} of {self.frames} frames missed it, "
                f"{self.max_misses} may"
            )
        return "\n".join([*lines, *self.clocks.lines()])

    def _counts(self) -> list[str]:
        counts = {
            "pictures not shown": self.unshown,
            "frames passed over between triggers": self.passed,
            "beats missed": self.missed_beats,
            "runs to keep warm": self.warm_runs,
        }
        return [f", {count} {what}" for what, count in counts.items() if count]

    def to_json(self) -> dict[str, Any]:
        """Return the report as one JSON object; arrival to mask lies flat in it."""
        document = dataclasses.asdict(self)
        latency = document.pop("latency") or {}
        return document | latency | {"clocks": self.clocks.to_json()}

    def check(self) -> None:
        """Raise GateFailed when more frames missed the budget than may."""
        if self.misses <= self.max_misses or self.budget_ms is None or self.latency is None:
            return
        raise GateFailed(
            f"{self.misses} of {self.frames} frames took longer than {self.budget_ms:g} ms from "
            f"arrival to mask (the slowest {self.latency.max_ms:.2f} ms); {self.max_misses} may.",
            remedy="a quicker engine: edgeseg build-engine --precision int8; or a larger "
            "--budget-ms, or --max-misses",
        )
