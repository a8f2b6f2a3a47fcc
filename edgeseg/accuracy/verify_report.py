"""What `edgeseg verify` found: the limits, the verdict, and what the comparison cannot see."""

from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.config import VerifyConfig
from edgeseg.errors import GateFailed
from edgeseg.evaluation.compare import Parity
from edgeseg.quantize.headroom import Headroom

ENOUGH = 100  # marked pixels: the overlap of fewer is chance
UNSEEN = (
    "Not seen here: a CPU computes Half in Float, so that a value which overflows on a GPU looks\n"
    "sound above. What tells is how large the numbers get; Half ends at 65504:"
)


@dataclass(frozen=True)
class Limits:
    """How far apart two models may be."""

    max_map_diff: float
    max_score_diff: float
    min_iou: float
    max_flips: int
    """A count of frames."""

    @classmethod
    def of(cls, config: VerifyConfig, frames: int, *, int8: bool) -> "Limits":
        """Return what was asked for, and where nothing was, what the precision can hold.

        INT8 moves single pixels at a mask's border; of the verdicts one in a hundred may flip.
        """
        map_diff, min_iou, flips = (0.2, 0.7, max(frames // 100, 1)) if int8 else (0.05, 0.95, 0)
        if config.max_flip_rate is not None:
            flips = int(config.max_flip_rate * frames + 1e-9)
        return cls(
            map_diff if config.max_map_diff is None else config.max_map_diff,
            config.max_score_diff,
            min_iou if config.min_iou is None else config.min_iou,
            flips,
        )


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How far two models are from each other, and whether that is within the limits."""

    a: str
    b: str
    """Path and runtime."""
    pictures: str
    parity: Parity
    worst: tuple[str, ...]
    """The frames that flip or differ most, where a limit is passed."""
    notes: tuple[str, ...]
    headroom: tuple[Headroom, ...]
    limits: Limits
    extremes: Parity | None = None
    """On black, white and noise, where they are not judged: INT8 was calibrated for pictures."""

    def problems(self) -> list[str]:
        """Return what is beyond its limit."""
        found, limits = self.parity, self.limits
        overflows = [r for r in self.headroom if r.typed and not r.fits]
        problems = [f"{r.graph} overflows Half in {r.peaks[0].node}" for r in overflows]
        if not found.finite:
            return ["a map or score is NaN or infinite", *problems]
        if not found.max_abs_diff <= limits.max_map_diff:
            problems.append(f"the maps differ by {found.max_abs_diff:.2g}")
        if not found.score_diff <= limits.max_score_diff:
            problems.append(f"the scores differ by {found.score_diff:.2g}")
        if found.marked_pixels >= ENOUGH and found.mask_iou < limits.min_iou:
            problems.append(f"the masks overlap by {found.mask_iou:.4f}")
        if found.flipped_verdicts > limits.max_flips:
            problems.append(f"{found.flipped_verdicts} verdicts flip")
        return problems

    def summary(self) -> str:
        """Return the table, the verdict and the headroom, as text."""
        found, limits = self.parity, self.limits
        few = found.marked_pixels < ENOUGH
        overlap = f"of {found.marked_pixels} marked pixels" + ", too few to judge" * few
        rows = [
            ("", "found", "limit", ""),
            ("map, largest difference", f"{found.max_abs_diff:.2e}", limits.max_map_diff, ""),
            ("map, mean difference", f"{found.mean_abs_diff:.2e}", "-", ""),
            ("score, largest difference", f"{found.score_diff:.2e}", limits.max_score_diff, ""),
            ("mask IoU", f"{found.mask_iou:.4f}", limits.min_iou, overlap),
            ("flipped verdicts", found.flipped_verdicts, limits.max_flips, f"of {found.frames}"),
        ]
        table = [
            f"{what:<26}{value!s:>10}{limit!s:>8}  {more}".rstrip()
            for what, value, limit, more in rows
        ]
        problems = self.problems()
        if self.extremes:
            table.append(f"black, white, noise, not judged: {self.extremes.line()}")
        verdict = f"failed: {'; '.join(problems)}" if problems else "passed"
        lines = [f"A  {self.a}", f"B  {self.b}", f"on {self.pictures}", *self.notes, "", *table]
        lines += ["", verdict, *(f"  {name}" for name in self.worst), "", UNSEEN]
        for room in self.headroom:
            lines += room.lines()
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return everything that the summary says."""
        return {
            "a": self.a,
            "b": self.b,
            "pictures": self.pictures,
            **self.parity.to_json(),
            "limits": asdict(self.limits),
            "extremes": self.extremes.to_json() if self.extremes else None,
            "problems": self.problems(),
            "worst": list(self.worst),
            "notes": list(self.notes),
            "headroom": [room.to_json() for room in self.headroom],
        }

    def check(self) -> None:
        """GateFailed when a limit is passed."""
        if problems := self.problems():
            raise GateFailed(
                f"The two are too far apart: {'; '.join(problems)}.",
                remedy="compare the steps between them one by one: run, ONNX file, engine; "
                "--max-map-diff, --max-score-diff, --min-iou and --max-flip-rate set the limits",
            )
