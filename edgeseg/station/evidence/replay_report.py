"""What another look at kept frames has found: the verdicts that change."""

from collections import Counter
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from edgeseg.data.damaged import (
    DamagedImage,
    damaged_lines,
    damaged_to_json,
    refuse_damaged,
)
from edgeseg.errors import GateFailed
from edgeseg.files import shown
from edgeseg.text import counted, percent, table


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """A kept frame and its verdicts."""

    path: str
    key: str
    recipe: str
    model: str
    was: str
    verdict: str
    reason: str
    """Why it is unknown now."""
    was_score: float | None
    score: float
    label: str
    """What people say; empty: nothing."""
    equal: bool
    """Whether score, mask and anomaly map have the same bits."""

    @property
    def changed(self) -> bool:
        """Whether the verdict is another one."""
        return self.was != self.verdict


@dataclass(frozen=True)
class ReplayReport:
    """What another look at the kept frames has found."""

    folder: Path
    models: tuple[str, ...]
    frames: tuple[Replayed, ...]
    damaged: tuple[DamagedImage, ...]
    strict: bool = False
    max_flip_rate: float | None = None

    @property
    def changed(self) -> tuple[Replayed, ...]:
        """The frames whose verdict is another one."""
        return tuple(each for each in self.frames if each.changed)

    def summary(self) -> str:
        """Return the verdicts that change, and their number."""
        changed, total = self.changed, len(self.frames)
        lines = [f"{counted(total, 'frame')} of {shown(self.folder)}, by {', '.join(self.models)}"]
        if changed:
            labels = any(each.label for each in changed)
            head = ["frame", "recipe", "was", "now", "score was", "now", "label" * labels]
            rows = [head, *(_row(each) for each in changed)]
            lines += ["", *table(rows, "<<<<>><"), ""]
        equal = sum(each.equal for each in self.frames)
        lines.append(f"score, mask and map with the same bits: {equal} of {total}")
        ways = Counter(f"{each.was} -> {each.verdict}" for each in changed)
        found = ", ".join(f"{count} {way}" for way, count in ways.most_common())
        rate = percent(len(changed) / total)
        lines.append(f"verdicts that change: {len(changed)} of {total} ({rate})")
        lines[-1] += f": {found}" if found else ""
        lines += self._against_labels()
        return "\n".join([*lines, *damaged_lines(self.damaged)])

    def to_json(self) -> dict[str, Any]:
        """Return everything, the frames whose verdict changes one by one."""
        return {
            "folder": str(self.folder),
            "models": list(self.models),
            "frames": len(self.frames),
            "same_bits": sum(each.equal for each in self.frames),
            "changed": [vars(each) for each in self.changed],
            "labeled": self._labeled(),
            "max_flip_rate": self.max_flip_rate,
            **damaged_to_json(self.damaged),
        }

    def check(self) -> None:
        """DataError for damaged frames, if asked for; GateFailed if too many verdicts change."""
        if self.strict:
            refuse_damaged(self.damaged)
        rate, limit = len(self.changed) / len(self.frames), self.max_flip_rate
        if limit is not None and rate > limit:
            raise GateFailed(
                f"{len(self.changed)} of {counted(len(self.frames), 'verdict')} change "
                f"({percent(rate)}, at most {percent(limit)} may).",
                remedy="look at the frames that are listed; --max-flip-rate sets the limit",
                code="gate/replay",
            )

    def _labeled(self) -> dict[str, dict[str, int]]:
        """Return the counts of wrong verdicts, before and now, by label."""
        found = {}
        for label, right in (("good", "good"), ("defect", "anomalous")):
            frames = [each for each in self.frames if each.label == label]
            if frames:
                found[label] = {
                    "frames": len(frames),
                    "were_wrong": sum(each.was != right for each in frames),
                    "wrong": sum(each.verdict != right for each in frames),
                }
        return found

    def _against_labels(self) -> list[str]:
        return [
            f"labeled {label}: {counts['frames']}, not judged so: {counts['were_wrong']} before, "
            f"{counts['wrong']} now"
            for label, counts in self._labeled().items()
        ]


def _row(each: Replayed) -> list[str]:
    now = f"{each.verdict} ({each.reason})" if each.reason else each.verdict
    score = "-" if each.was_score is None else f"{each.was_score:.4f}"
    return [
        shown(Path(each.path).name),
        each.recipe,
        each.was,
        now,
        score,
        f"{each.score:.4f}" if isfinite(each.score) else "-",
        each.label,
    ]
