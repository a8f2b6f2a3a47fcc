"""The report of a stream: counts, latency, and the stages of a frame.

Every frame that the source delivered is accounted for:

    received            = frames + not_judged + drops + trigger_drops + unread
    frames + not_judged = good + anomalous + unknown = lines of --jsonl + lost
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from edgeseg.data.damaged import DamagedImage, damaged_lines, damaged_to_json, refuse_damaged
from edgeseg.errors import DataError, EdgesegError, GateFailed
from edgeseg.machine.clocks import ClockReport
from edgeseg.stream.pipeline.latency import Percentiles
from edgeseg.text import counted, table
from edgeseg.verdict.verdict import refuse_unknown


@dataclass(frozen=True, kw_only=True)
class StreamReport:
    """What a stream processed, and how long a frame took from arrival to mask."""

    source: str
    engine: str
    mode: str
    """Which frames were processed, and how many were in flight."""
    frames: int
    """Frames that have a mask."""
    not_judged: int
    """Broken frames and damaged images that have no mask, and the verdict unknown."""
    anomalous: int
    unknown: int
    """Frames that cannot be judged, with those that are `not_judged`."""
    drops: int
    """Frames of a live source that were replaced by a newer one before inference."""
    driver_drops: int
    """Frames that the camera's driver counted and did not deliver; they are not in `received`."""
    received: int
    """Frames that the source delivered, also broken ones."""
    unread: int
    """Frames that were waiting when the stream ended."""
    broken: int
    """Frames and images that could not be read or decoded, also those that were dropped."""
    damaged: tuple[DamagedImage, ...]
    """Images that could not be read."""
    reconnects: int
    not_shown: int
    """Frames of a live source that the video and the window had no time for."""
    lost: int
    """Lines of --jsonl that could not be written."""
    errors: tuple[EdgesegError, ...]
    """Why outputs that were asked for are not complete; `check` raises the first."""
    strict: bool
    trigger_drops: int
    """Frames of a live source between two triggers."""
    missed_triggers: int
    """Triggers without a frame, and triggers during which a file's frames were still waiting."""
    keep_warm_iterations: int
    budget_ms: float | None
    misses: int
    """Deadline misses: frames that took longer than the budget from arrival to mask."""
    max_misses: int
    seconds: float
    fps: float
    path: str
    """How frames reached the graph's memory, from the driver or the decoder on."""
    cpu_writes: int | None
    """How often the CPU wrote a frame on that path; None if it is unknown."""
    latency: Percentiles | None
    """Arrival to mask; None if no frame was processed."""
    stages: dict[str, Percentiles]
    """`wait`, `run`, `submit`, `device`, `sinks`: those that were measured."""
    clocks: ClockReport
    """Clocks, temperatures and throttling, where the machine reports them."""

    def summary(self) -> str:
        """Return the report as text."""
        lines = [
            f"{self.source}: {counted(self.received, 'frame')} in {self.seconds:.1f} s: "
            f"{', '.join(f'{count} {what}' for what, count in self._places().items())}",
            f"{self.engine}, {self.mode}, {self.frames} masks ({self.fps:.1f}/s)"
            f"{''.join(self._counts())}",
            *self._path(),
        ]
        if self.latency is not None:
            rows = [("arrival to mask", self.latency.line())]
            rows += [(f"  {name}", stage.line()) for name, stage in self.stages.items()]
            lines += table(rows, "<<")
        if self.budget_ms is not None:
            lines.append(
                f"budget {self.budget_ms:g} ms: {self.misses} deadline misses in {self.frames} "
                f"frames ({self.max_misses} allowed)"
            )
        warnings = [f"warning: {line}" for line in self._warnings()]
        return "\n".join([*lines, *self.clocks.lines(), *warnings, *damaged_lines(self.damaged)])

    def _path(self) -> list[str]:
        """Return how frames reached the graph's memory."""
        if not self.path:
            return []
        writes = "unknown" if self.cpu_writes is None else str(self.cpu_writes)
        return [f"frames: {self.path}; CPU writes per frame: {writes}"]

    def _warnings(self) -> list[str]:
        """Return what somebody should look at, although the stream went on."""
        lines = [each.problem for each in self.errors]
        if self.broken > len(self.damaged):
            lines.append(f"broken frames, not judged: {self.broken - len(self.damaged)}")
        if self.lost:
            lines.append(f"{self.lost} frames have no line in --jsonl")
        return lines

    def _places(self) -> dict[str, int]:
        """Return how many of the received frames are where; the sum is `received`."""
        found = {
            "good": self.frames + self.not_judged - self.anomalous - self.unknown,
            "anomalous": self.anomalous,
            "unknown": self.unknown,
            "dropped": self.drops,
        }
        more = {"dropped between triggers": self.trigger_drops, "unread at the end": self.unread}
        return found | {what: count for what, count in more.items() if count}

    def _counts(self) -> list[str]:
        counts = {
            "broken or damaged frames without a mask": self.not_judged,
            "reconnects": self.reconnects,
            "frames not shown": self.not_shown,
            "frames dropped by the camera's driver": self.driver_drops,
            "triggers missed": self.missed_triggers,
            "keep-warm iterations": self.keep_warm_iterations,
        }
        return [f", {count} {what}" for what, count in counts.items() if count]

    def to_json(self) -> dict[str, Any]:
        """Return the report as one JSON object with the latency at its top level."""
        document = dataclasses.asdict(self)
        latency = document.pop("latency") or {}
        damaged = damaged_to_json(self.damaged)
        damaged["warnings"] += len(self._warnings())
        return document | latency | damaged | {"errors": [e.to_json() for e in self.errors]}

    def check(self) -> None:
        """Raise the error of an incomplete output, DataError if strict, or GateFailed.

        GateFailed: there were more deadline misses than allowed.
        """
        for error in self.errors:
            raise error
        if self.strict:
            refuse_damaged(self.damaged)
        if self.strict and self.broken:
            raise DataError(
                f"{self.broken} frames of {self.source} were broken, {self.frames} were judged "
                "(expected none broken: --strict).",
                remedy="check the camera's cable, or leave out --strict",
                code="data/broken-frames",
            )
        if self.strict:
            refuse_unknown(self.unknown, self.frames + self.not_judged, "frames")
        if self.misses <= self.max_misses or self.budget_ms is None or self.latency is None:
            return
        raise GateFailed(
            f"{self.misses} of {self.frames} frames took longer than {self.budget_ms:g} ms from "
            f"arrival to mask (maximum {self.latency.max_ms:.2f} ms, {self.max_misses} allowed).",
            remedy="a faster engine: edgeseg build-engine --precision int8; or a larger "
            "--budget-ms or --max-misses",
            code="gate/deadline-misses",
        )
