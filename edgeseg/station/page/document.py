"""What the page is told of the station's state, and what is an alarm."""

from collections.abc import Mapping
from typing import Any

from edgeseg.station.inspection import Code
from edgeseg.station.outputs.base import Lamp, OutputContext, StationState

OUTPUT_BAD = 3.0  # seconds without an answer, after which an output is an alarm
WORDS = {
    Code.OK: "OK",
    Code.ANOMALOUS: "anomalous",
    Code.UNKNOWN: "cannot be judged",
    Code.DROPPED: "not judged: dropped",
    Code.LATE: "no frame in time",
    Code.CAMERA_LOST: "camera lost",
    Code.BROKEN_FRAME: "broken frame",
    Code.FROZEN_CAMERA: "camera frozen",
    Code.LINE_STOPPED: "line stopped",
    Code.STARTING: "no part yet",
    Code.STALE: "no answer",
}


def state_document(state: StationState, context: OutputContext) -> dict[str, Any]:
    """Return the state in plain values."""
    status = state.status
    cameras = status.get("cameras", {})
    return {
        "station": context.station,
        "device": context.device,
        "boot": status.get("boot", ""),
        "alive": state.alive,
        "stopped": status.get("stopped", ""),
        "recipes": list(context.recipes),
        "cameras": [
            {"name": name, "lamp": _lamp(lamp), **cameras.get(name, {})}
            for name, lamp in state.lamps.items()
        ],
        "outputs": [{"name": name, **found} for name, found in state.outputs.items()],
        "journal": status.get("journal", {}),
        "evidence": status.get("evidence", {}),
        "alarms": alarms(state),
    }


def _lamp(lamp: Lamp) -> dict[str, Any]:
    inspection = lamp.inspection
    shown = {"ok": lamp.ok, "code": int(lamp.code), "word": word(lamp.code), "reason": lamp.reason}
    if inspection is None:
        return shown
    return shown | {
        "id": inspection.id,
        "part": inspection.part,
        "score": inspection.score,
        "threshold": inspection.threshold,
        "decided": inspection.decided,
        "regions": inspection.region_count,
    }


def word(code: int) -> str:
    """Return a code in words."""
    try:
        return WORDS.get(Code(code), "not OK")
    except ValueError:
        return "not OK"


def alarms(state: StationState) -> list[dict[str, str]]:
    """Return what somebody has to do something about; the worst first."""
    if not state.alive:
        return [_alarm("station", "The inspection does not answer. Every part is NOT OK.")]
    found = []
    status: Mapping[str, Any] = state.status
    journal = status.get("journal", {})
    if journal.get("trouble"):
        problem = f"Records wait in memory, the disk does not take them: {journal['trouble']}"
        found.append(_alarm("journal", problem))
    if journal.get("lost"):
        found.append(_alarm("journal", f"{journal['lost']} records are lost: no room in memory."))
    if status.get("evidence", {}).get("trouble"):
        problem = f"No pictures are kept: {status['evidence']['trouble']}"
        found.append(_alarm("evidence", problem))
    for name, camera in status.get("cameras", {}).items():
        if camera.get("state") == "lost":
            found.append(_alarm(f"camera {name}", f"The camera is lost: {camera.get('problem')}"))
        elif camera.get("state") == "ended":
            found.append(_alarm(f"camera {name}", "The source has ended: no further frames."))
        if drifted := camera.get("drift", {}).get("alarms"):
            problem = f"The pictures drift away from those of the training: {', '.join(drifted)}."
            found.append(_alarm(f"camera {name}", f"{problem} Check lamp, lens and focus."))
    for name, output in state.outputs.items():
        if output.get("problem"):
            found.append(_alarm(f"output {name}", f"It fails: {output['problem']}"))
        elif output.get("bad_for", 0) > OUTPUT_BAD:
            problem = f"It has not answered for more than {OUTPUT_BAD:.0f} s."
            found.append(_alarm(f"output {name}", problem))
    return found


def _alarm(what: str, problem: str) -> dict[str, str]:
    return {"what": what, "problem": problem}
