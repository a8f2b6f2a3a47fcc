"""Whether a new model may take the place of the one that runs: it judges the station's kept frames.

    refused    a frame that people labeled a defect was not good, and would be good now
    refused    of the frames labeled good, a share above `max_changed` would be rejected anew
    refused    of the frames without a label, a share above `max_changed` gets another verdict
    waits      fewer kept frames than `min_frames`: there is nothing to judge it by

Most kept frames are those that were not good or nearly so, so these shares are larger than those of
the parts on the line.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeseg.config import ReplayConfig
from edgeseg.errors import DataError
from edgeseg.station.config import RecipeConfig
from edgeseg.station.evidence.replay import replay
from edgeseg.station.evidence.replay_report import Replayed
from edgeseg.station.following.config import FleetConfig
from edgeseg.text import counted, percent


@dataclass(frozen=True)
class GateResult:
    """What the gate says of a model."""

    outcome: Literal["passed", "refused", "waits"]
    reason: str
    frames: int


def judge_model(file: Path, recipe: RecipeConfig, model: Path, fleet: FleetConfig) -> GateResult:
    """Judge a model on the kept frames of a recipe; file: of the station."""
    try:
        report = replay(
            file,
            model,
            ReplayConfig(recipe=recipe.name),
            threads=recipe.threads or 1,
            device=recipe.device,
            newest=fleet.newest,
        )
        frames = report.frames
    except DataError as error:
        if error.code not in ("data/no-evidence", "data/not-found"):
            raise
        frames = ()
    if len(frames) < fleet.min_frames:
        found = f"{counted(len(frames), 'kept frame')} (min_frames = {fleet.min_frames})"
        return GateResult("waits", found, len(frames))
    problem = verdict_on(frames, fleet.max_changed)
    return GateResult("refused" if problem else "passed", problem, len(frames))


def verdict_on(frames: tuple[Replayed, ...], max_changed: float) -> str:
    """Return why a model must not be used; empty: it may."""
    escaped = [e for e in frames if e.label == "defect" and e.was != "good" and e.verdict == "good"]
    if escaped:
        return f"{counted(len(escaped), 'labeled defect')} would be good, such as {escaped[0].key}"
    good = [each for each in frames if each.label == "good"]
    rejected = [each for each in good if each.was == "good" != each.verdict]
    if len(rejected) > max_changed * len(good):
        return (
            f"{len(rejected)} of {counted(len(good), 'labeled good part')} would be rejected anew"
        )
    others = [each for each in frames if each.label not in ("good", "defect")]
    changed = [each for each in others if each.changed]
    if len(changed) > max_changed * len(others):
        share, limit = percent(len(changed) / len(others)), percent(max_changed)
        return f"{len(changed)} of {len(others)} verdicts would change ({share}, at most {limit})"
    return ""
