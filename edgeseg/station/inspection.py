"""One inspection: what was judged, and what the line is told; a line of JSON in the journal.

The line sees OK for a good part only. Everything else is NOT OK with a code: `Code` has the numbers
that go to PLCs, which never change their meaning.
"""

import json
from dataclasses import dataclass, replace
from enum import IntEnum
from math import isfinite
from typing import TYPE_CHECKING, Any

from edgeseg.schema import bounded, build, parse
from edgeseg.verdict.names import (
    ANOMALOUS,
    DROPPED,
    FROZEN_CAMERA,
    GOOD,
    UNKNOWN,
    VerdictName,
)

if TYPE_CHECKING:
    from edgeseg.stream.sink.base import Record

VERSION = 1
LATE = "late"
CAMERA_LOST = "camera lost"
LINE_STOPPED = "line stopped"
BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds from arrival to mask, by which a status counts inspections."""


class Code(IntEnum):
    """Why a part is not OK; 0: it is OK."""

    OK = 0
    ANOMALOUS = 1
    UNKNOWN = 10
    """The picture is none of the trained part; the reason says which measure is off."""
    DROPPED = 11
    """A newer frame replaced it before it was judged."""
    LATE = 12
    """No frame came in time for a trigger, or no trigger could wait."""
    CAMERA_LOST = 13
    BROKEN_FRAME = 14
    FROZEN_CAMERA = 15
    LINE_STOPPED = 20
    """Somebody stopped the line, or an output that is required does not take verdicts."""
    STARTING = 21
    """No part was judged since the start."""
    STALE = 22
    """The station does not answer."""


_CODES = {
    DROPPED: Code.DROPPED,
    LATE: Code.LATE,
    CAMERA_LOST: Code.CAMERA_LOST,
    FROZEN_CAMERA: Code.FROZEN_CAMERA,
}


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What one frame, or one trigger without a frame, was judged. Times: seconds since 1970."""

    v: int = VERSION
    id: int = 0
    """Its place in the journal, from 1; 0 until it is there."""
    device: str
    boot: str
    """Differs at each start of the station."""
    sequence: int = bounded(0)
    """Counts the inspections of a boot, from 1."""
    camera: str
    recipe: str
    model: str = ""
    """SHA-256 of the graph's weights."""
    trigger: int | None = None
    part: str = ""
    """The number of the part, as the line knows it."""
    captured: float | None = None
    """By the kernel's clock, or when the first packet of the frame reached this machine."""
    camera_ns: int | None = None
    """Time stamp of the camera, in nanoseconds of its own clock."""
    arrived: float
    decided: float
    frame: int | None = None
    """The camera's number of the frame."""
    verdict: VerdictName
    code: int
    reason: str = ""
    score: float | None = None
    threshold: float | None = None
    regions: tuple[dict[str, Any], ...] = ()
    region_count: int = 0
    ms: float | None = None
    """From arrival to mask."""
    evidence: str = ""
    """The folder of its pictures, within the station's."""

    @property
    def ok(self) -> bool:
        """Whether the line may pass the part on."""
        return self.code == Code.OK

    @property
    def key(self) -> str:
        """What no other inspection has: device, boot and sequence."""
        return f"{self.device}/{self.boot}/{self.sequence}"

    def document(self) -> dict[str, Any]:
        """Return the fields that are known."""
        return {k: v for k, v in vars(self).items() if v not in (None, "", ())}

    def to_json(self) -> str:
        """Return one line of JSON."""
        found = self.document() | {"key": self.key, "ok": self.ok}
        return json.dumps(found, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Inspection":
        """Read what `to_json` wrote; ValueError for anything else."""
        document = parse(text)
        if isinstance(document, dict):
            document = {k: v for k, v in document.items() if k not in ("key", "ok")}
        return build(cls, document)

    def at(self, place: int) -> "Inspection":
        """Return it with its place in the journal."""
        return replace(self, id=place)


def code_of(verdict: VerdictName, reason: str) -> Code:
    """Return the code of a verdict."""
    if verdict == GOOD:
        return Code.OK
    if verdict == ANOMALOUS:
        return Code.ANOMALOUS
    if reason.startswith(LINE_STOPPED):
        return Code.LINE_STOPPED
    return _CODES.get(reason, Code.UNKNOWN)


def measured(record: "Record") -> dict[str, Any]:
    """Return what an inspection takes from the record of a frame."""
    judged = isfinite(record.score)
    code = code_of(record.verdict, record.reason)
    if code is Code.UNKNOWN and not judged:
        code = Code.BROKEN_FRAME
    regions = [region.moved(*record.moved).to_json() for region in record.regions]
    return {
        "recipe": record.recipe,
        "trigger": record.trigger.number if record.trigger else None,
        "part": record.trigger.part if record.trigger else "",
        "captured": record.captured,
        "camera_ns": record.camera_ns,
        "arrived": record.arrival,
        "frame": record.sequence,
        "verdict": record.verdict,
        "code": int(code),
        "reason": record.reason,
        "score": round(record.score, 6) if judged else None,
        "regions": tuple(regions),
        "region_count": record.region_count,
        "ms": round(record.milliseconds, 3) if isfinite(record.milliseconds) else None,
    }


def without_frame(reason: str, verdict: VerdictName = UNKNOWN) -> dict[str, Any]:
    """Return what an inspection has that no frame came for."""
    return {"verdict": verdict, "code": int(code_of(verdict, reason)), "reason": reason}
