"""Settings of the regions of a mask: which count, whether they decide, and the size of a pixel."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from edgeseg.errors import ConfigError
from edgeseg.frame.geometry import Size
from edgeseg.limits import THRESHOLD
from edgeseg.settings import Settings, setting
from edgeseg.verdict.rule import COARSEST, FINEST, Rule, parse_area, parse_rule


@dataclass(frozen=True, kw_only=True)
class RegionConfig(Settings):
    """Which regions of the mask count, and whether they decide; None: as in the model's card."""

    PANELS: ClassVar[dict[str, str]] = {"Regions": "rule min_area min_peak mm_per_px"}

    rule: str | None = setting(
        None, "What is anomalous: score, region, area:200 or count:3 [default: the model's]"
    )
    min_area: str | None = setting(
        None, "Smallest region that counts, as 50 (pixels) or 0.5mm2 [default: the model's]"
    )
    min_peak: float | None = setting(
        None,
        "Lowest peak of a region that counts [default: the model's]",
        low=-THRESHOLD,
        high=THRESHOLD,
    )
    mm_per_px: float | None = setting(
        None, "Millimeters of a pixel [default: the model's]", low=FINEST, high=COARSEST
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.applied(Rule(mm_per_px=1.0))

    def applied(self, rule: Rule, picture: Size | None = None) -> Rule:
        """Return the rule of a model with these settings in place of its own.

        picture: the size of the pictures that a new size of a pixel is of; None: of each its own.
        ConfigError for text that is no rule or area, and an area in mm2 without a size of a pixel.
        """
        changed: dict[str, Any] = {}
        if self.mm_per_px is not None:
            changed |= {"mm_per_px": self.mm_per_px, "picture": picture}
        size = changed.get("mm_per_px", rule.mm_per_px)
        if self.rule is not None:
            changed["by"], changed["limit"] = parse_rule(self.rule, size)
        if self.min_area is not None:
            changed["min_area"] = parse_area(self.min_area, size, "--min-area 50")
        if self.min_peak is not None:
            changed["min_peak"] = self.min_peak
        return replace(rule, **changed)


OWN = RegionConfig()


@dataclass(frozen=True, kw_only=True)
class RuleConfig(RegionConfig):
    """What `threshold` stores of the regions; a checkerboard may give the size of a pixel."""

    PANELS: ClassVar[dict[str, str]] = {
        "Regions": f"{RegionConfig.PANELS['Regions']} checkerboard square_mm roi ignore"
    }

    checkerboard: Path | None = setting(
        None, "Photo of a checkerboard in the plane of the part, in place of --mm-per-px"
    )
    square_mm: float | None = setting(
        None, "Side of a square of the checkerboard in mm", low=0.01, high=10_000, example=5
    )

    roi: Path | None = setting(
        None,
        "What of the pictures is inspected, of a run: a mask image, a folder of them, or a JSON or "
        "XML file of areas; needs DATA, then an export",
    )
    ignore: Path | None = setting(None, "What is not inspected, in the same forms")

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.checkerboard is None) != (self.square_mm is None):
            raise ConfigError(
                "--checkerboard and --square-mm need each other (found one of them)",
                remedy="--checkerboard board.png --square-mm 5",
                code="config/conflict",
            )
        if self.checkerboard is not None and self.mm_per_px is not None:
            raise ConfigError(
                "--checkerboard and --mm-per-px both tell the size of a pixel (expected one)",
                remedy="--mm-per-px 0.05",
                code="config/conflict",
            )


UNCHANGED = RuleConfig()
