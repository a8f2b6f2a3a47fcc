"""What happens to the verdict of a frame, in the order of its haste.

indicators of this process    GPIO: at once
journal                       the only thing that inference waits for
evidence, preview             get a copy of the frame, if they have a buffer free
"""

import itertools
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Protocol

from edgeseg.cards import GraphCard
from edgeseg.runtime.base import Slot
from edgeseg.station.inspection import (
    BUCKETS,
    LINE_STOPPED,
    Code,
    Inspection,
    measured,
    without_frame,
)
from edgeseg.station.journal import Journal
from edgeseg.station.lines.drift import Drift
from edgeseg.stream.pipeline.judge import Judge
from edgeseg.stream.pipeline.latency import Latencies, Percentiles
from edgeseg.stream.sink.base import Record
from edgeseg.stream.source.base import TriggerId
from edgeseg.verdict.names import UNKNOWN

NEWEST = 2048  # latencies that a status tells of


class Immediate(Protocol):
    """Told of each verdict in the inference thread, before the journal; must not wait."""

    def show(self, inspection: Inspection) -> None:
        """Show a verdict."""


class FrameKeeper(Protocol):
    """Keeps the frames of some inspections."""

    def keep(self, inspection: Inspection, record: Record, slot: Slot, judge: Judge) -> str:
        """Copy what the slot holds, to write it later, if it is to be kept.

        Return where it will be, within the station's folder; empty: it is not kept. Must not wait.
        """

    def write(self) -> None:
        """Begin to write what was copied: called when the journal has the record."""


class Viewer(Protocol):
    """Shows frames to people."""

    def view(self, record: Record, slot: Slot, card: GraphCard, threshold: float) -> None:
        """Copy what the slot holds, if somebody looks."""


@dataclass
class Desk:
    """What the cameras of a station share."""

    journal: Journal
    device: str
    boot: str
    immediate: Sequence[Immediate] = ()
    keeper: FrameKeeper | None = None
    stopped: str = ""
    """Why the line is stopped: no part is OK until it is started again."""
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def number(self) -> int:
        """Return the next number of an inspection."""
        with self._lock:
            return next(self._numbers)


class Recorder:
    """Takes the results of one camera's inference: a `Taker`."""

    def __init__(self, camera: str, desk: Desk, viewer: Viewer | None = None) -> None:
        self._camera, self._desk, self._viewer = camera, desk, viewer
        self.judges: Mapping[str, Judge] = {}
        """By recipe."""
        self.recipe = ""
        """On duty; of what no frame came for."""
        self.verdicts: Counter[str] = Counter()
        self.codes: Counter[int] = Counter()
        self.frames = 0
        self.last: Inspection | None = None
        self.buckets = [0] * (len(BUCKETS) + 1)
        """Counts of latencies up to each of BUCKETS, and beyond."""
        self.seconds = 0.0
        """Sum of all latencies."""
        self._drifts: dict[str, Drift] = {}
        self._latencies = Latencies(NEWEST)

    def offer(self, record: Record, slot: Slot | None = None, done: int | None = None) -> None:
        """Take a result of inference."""
        self.frames += 1
        judge, found = self.judges.get(record.recipe), measured(record)
        inspection = self._inspection(found, judge)
        self._show(inspection)
        if isfinite(record.milliseconds):
            self._measure(record.milliseconds / 1e3)
        if slot is not None and judge is not None and isfinite(record.score):
            if record.recipe not in self._drifts:
                self._drifts[record.recipe] = Drift(judge.card, judge.image_threshold)
            self._drifts[record.recipe].add(record.score, slot.input_check[0])
        keeper, place = self._desk.keeper, ""
        if keeper is not None and slot is not None and judge is not None:
            place = keeper.keep(inspection, record, slot, judge)
        self._store(replace(inspection, evidence=place) if place else inspection)
        if keeper is not None and place:
            keeper.write()
        if self._viewer is not None and slot is not None and judge is not None:
            if inspection.verdict != record.verdict:  # the line is stopped
                record = replace(record, verdict=inspection.verdict, reason=inspection.reason)
            self._viewer.view(record, slot, judge.card, judge.threshold)

    def without_frame(self, reason: str, trigger: TriggerId | None = None) -> None:
        """Record that there was no frame: for a trigger, or because the camera is lost."""
        now = time.time()
        found = without_frame(reason) | {"arrived": now, "recipe": self.recipe}
        if trigger is not None:
            found |= {"trigger": trigger.number, "part": trigger.part}
        inspection = self._inspection(found, self.judges.get(self.recipe))
        self._show(inspection)
        self._store(inspection)

    def end(self) -> None:
        """No result follows of this stream; the camera may come back."""

    def close(self) -> None:
        """Nothing waits in `offer` but for the journal."""

    @property
    def latency(self) -> Percentiles | None:
        """From arrival to mask, of the newest frames; None before the first."""
        return self._latencies.summary() if self._latencies.count else None

    def drift(self) -> dict[str, Any]:
        """Return how far the frames of the recipe on duty have drifted."""
        drift = self._drifts.get(self.recipe)
        return drift.status() if drift else {"positions": {}, "alarms": []}

    def _measure(self, seconds: float) -> None:
        self._latencies.add(seconds)
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds

    def _inspection(self, found: dict[str, Any], judge: Judge | None) -> Inspection:
        if self._desk.stopped:
            reason = f"{LINE_STOPPED}: {self._desk.stopped}"
            found |= {"verdict": UNKNOWN, "code": int(Code.LINE_STOPPED), "reason": reason}
        return Inspection(
            device=self._desk.device,
            boot=self._desk.boot,
            sequence=self._desk.number(),
            camera=self._camera,
            model=judge.card.weights_sha256 if judge else "",
            threshold=judge.image_threshold if judge else None,
            decided=time.time(),
            **found,
        )

    def _show(self, inspection: Inspection) -> None:
        for each in self._desk.immediate:
            each.show(inspection)

    def _store(self, inspection: Inspection) -> None:
        self._desk.journal.append(inspection)
        self.verdicts[inspection.verdict] += 1
        self.codes[inspection.code] += 1
        self.last = inspection
