"""The result of `edgeseg verify`: the limits, the verdict and the FP16 headroom."""

from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.config import VerifyConfig
from edgeseg.errors import GateFailed
from edgeseg.evaluation.compare import ENOUGH, Comparison, Limits
from edgeseg.quantize.headroom import Headroom
from edgeseg.text import table

UNSEEN = (
    "A CPU computes FP16 layers in FP32, so the comparison does not show an overflow on a GPU.\n"
    "The largest values of the FP16 layers do (FP16 overflows above 65504):"
)


def limits_of(config: VerifyConfig, frames: int, *, int8: bool) -> Limits:
    """Return the limits of a configuration; the defaults depend on the precision.

    INT8 moves single pixels at the border of a mask, and one verdict in a hundred (at least one)
    may flip; FP32 and FP16 may flip none. Borderline verdicts are not counted.
    """
    map_diff, iou, flips = (0.2, 0.7, max(frames // 100, 1)) if int8 else (0.05, 0.95, 0)
    check = None if int8 else 0.05  # INT8 moves the features, and an engine's limits with them
    if config.max_flip_rate is not None:
        flips = int(config.max_flip_rate * frames + 1e-9)  # 0.3 of 10 is 3
    return Limits(
        max_map_diff=map_diff if config.max_map_diff is None else config.max_map_diff,
        max_score_diff=config.max_score_diff,
        max_check_diff=check,
        min_iou=iou if config.min_iou is None else config.min_iou,
        max_flips=flips,
    )


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How far two models are from each other, and whether that is within the limits."""

    a: str
    b: str
    """Path and runtime."""
    pictures: str
    comparison: Comparison
    worst: tuple[str, ...]
    """The frames that flip or differ most, where a limit is exceeded."""
    notes: tuple[str, ...]
    headroom: tuple[Headroom, ...]
    limits: Limits
    extremes: Comparison | None = None
    """Black, white and noise, where they are not judged: INT8 was calibrated on photos."""

    def problems(self) -> list[str]:
        """Return which limits are exceeded."""
        overflows = [r for r in self.headroom if r.typed and not r.fits]
        return [
            *self.limits.problems(self.comparison),
            *(f"{r.graph} overflows FP16 in {r.peaks[0].node}" for r in overflows),
        ]

    def summary(self) -> str:
        """Return the table, the verdict and the headroom, as text."""
        found, limits = self.comparison, self.limits
        few = found.anomalous_pixels < ENOUGH
        pixels = f"of {found.anomalous_pixels} anomalous pixels" + ", too few to judge" * few
        flips = f"of {found.frames}"
        if found.borderline_flips:
            flips += (
                f", {found.borderline_flips} borderline (within {found.margin:.2g}), not counted"
            )
        rows = [
            ("", "found", "limit"),
            ("map, largest difference", f"{found.max_abs_diff:.2e}", f"{limits.max_map_diff}"),
            ("map, mean difference", f"{found.mean_abs_diff:.2e}", "-"),
            ("score, largest difference", f"{found.score_diff:.2e}", f"{limits.max_score_diff}"),
            ("mask IoU", f"{found.mask_iou:.4f}", f"{limits.min_iou}", pixels),
            ("flipped verdicts", f"{found.flipped_verdicts}", f"{limits.max_flips}", flips),
        ]
        if found.has_check:
            limit = "-" if limits.max_check_diff is None else f"{limits.max_check_diff}"
            rows.insert(4, ("input check, of its limits", f"{found.check_diff:.2e}", limit))
        lines = [f"A  {self.a}", f"B  {self.b}", f"on {self.pictures}", *self.notes, ""]
        lines += table(rows, "<>><")
        if self.extremes:
            lines.append(f"black, white and noise, not judged: {self.extremes.line()}")
        problems = self.problems()
        lines += ["", f"failed: {'; '.join(problems)}" if problems else "passed"]
        lines += [f"  {name}" for name in self.worst]
        lines += ["", UNSEEN] if self.headroom else []
        for graph in self.headroom:
            lines += graph.lines()
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return everything that the summary contains."""
        return {
            "a": self.a,
            "b": self.b,
            "pictures": self.pictures,
            **self.comparison.to_json(),
            "limits": asdict(self.limits),
            "extremes": self.extremes.to_json() if self.extremes else None,
            "problems": self.problems(),
            "worst": list(self.worst),
            "notes": list(self.notes),
            "headroom": [graph.to_json() for graph in self.headroom],
        }

    def check(self) -> None:
        """GateFailed when a limit is exceeded."""
        if problems := self.problems():
            raise GateFailed(
                f"The models differ too much: {'; '.join(problems)}.",
                remedy="compare the conversions one by one: run, ONNX file, engine; "
                "--max-map-diff, --max-score-diff, --min-iou and --max-flip-rate set the limits",
                code="gate/verify",
            )
