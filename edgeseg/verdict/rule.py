"""Which regions of a mask count, and what makes a frame anomalous: stored with the thresholds.

    score       the image score is above the image threshold (the default)
    region      any region counts
    area:200    the regions that count have more than 200 pixels in total
    count:3     more than 3 regions count (in one ROI, where the model has ROIs)

A region counts from `min_area` pixels and a peak of `min_peak` on. Pixels are those of the picture
that came from the camera: where the graph's frames are smaller, an area of the mask is scaled.
"""

import re
from dataclasses import dataclass
from typing import Literal

from edgeseg.errors import ConfigError
from edgeseg.frame.geometry import Size
from edgeseg.limits import THRESHOLD
from edgeseg.schema import bounded

RuleName = Literal["score", "region", "area", "count"]
LARGEST = 1e9  # pixels of an area, and regions
FINEST, COARSEST = 1e-6, 1e3  # millimeters of a pixel
_AREA = re.compile(r"(\d{1,10}(?:\.\d{1,9})?)(px|mm2|mm²|)", re.ASCII)
EXAMPLES = "score, region, area:200, area:0.5mm2 or count:3"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What makes a frame anomalous, and which regions count."""

    by: RuleName = "score"
    limit: float = bounded(0, LARGEST, default=0.0)
    """Of `area` in pixels, of `count`: what is above it is anomalous."""
    min_area: float = bounded(0, LARGEST, default=0.0)
    """Smallest area that counts, in pixels of the picture."""
    min_peak: float | None = bounded(-THRESHOLD, THRESHOLD, default=None)
    """Lowest peak that counts, a value of the anomaly map; None: that of the pixel threshold."""
    mm_per_px: float | None = bounded(FINEST, COARSEST, default=None)
    """Millimeters of a pixel of the picture; None: unknown."""
    picture: Size | None = bounded(1, None, default=None)
    """(height, width) of the picture whose pixels are meant; None: of each picture its own."""

    @property
    def by_regions(self) -> bool:
        """Whether the regions decide, and not the image score."""
        return self.by != "score"

    def scale(self, picture: Size, shown: Size) -> tuple[float, float]:
        """Return how many pixels of the picture a pixel of a mask spans, (x, y).

        picture: size of the image; shown: of the part of the mask that shows it.
        """
        height, width = self.picture or picture
        return width / shown[1], height / shown[0]

    def is_broken(self, count: int, area: float) -> bool:
        """Whether regions that count make a frame anomalous.

        count: of the ROI that has most of them; area: of all, in pixels of the picture.
        """
        if self.by == "area":
            return area > self.limit
        return count > (self.limit if self.by == "count" else 0)

    def words(self) -> str:
        """Return the rule as a sentence."""
        what = {
            "score": "the image score is above the image threshold",
            "region": "there is a region",
            "area": f"the regions have more than {self._area(self.limit)} in total",
            "count": f"there are more than {self.limit:g} regions",
        }[self.by]
        limits = [f"from {self._area(self.min_area)} on"] if self.min_area else []
        if self.min_peak is not None:
            limits.append(f"with a peak from {self.min_peak:g} on")
        counting = f"; a region counts {' and '.join(limits)}" if limits else ""
        scale = f"; 1 px is {self.mm_per_px:.6g} mm" if self.mm_per_px else ""
        return f"a frame is anomalous if {what}{counting}{scale}"

    def options(self, before: "Rule") -> str:
        """Return the options of `threshold` that turn another rule into this one."""
        limit = f":{_plain(self.limit)}" if self.by in ("area", "count") else ""
        found = [f"--rule {self.by}{limit}"]
        if self.min_area != before.min_area:
            found.append(f"--min-area {_plain(self.min_area)}")
        if self.min_peak not in (None, before.min_peak):
            found.append(f"--min-peak {self.min_peak:.9g}")
        if self.mm_per_px not in (None, before.mm_per_px):
            found.append(f"--mm-per-px {self.mm_per_px:.9g}")
        return " ".join(found)

    def _area(self, pixels: float) -> str:
        if self.mm_per_px is None:
            return f"{pixels:g} px"
        return f"{pixels:g} px ({pixels * self.mm_per_px**2:.4g} mm2)"


def _plain(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def parse_rule(text: str, mm_per_px: float | None) -> tuple[RuleName, float]:
    """Turn `region` or `area:200` into the name and the limit of a rule; ConfigError otherwise."""
    name, _, value = text.strip().lower().partition(":")
    if name == "area" and value:
        return "area", parse_area(value, mm_per_px, "--rule area:200", text)
    if name == "count" and value.isdecimal() and len(value) < 10:
        return "count", float(value)
    for plain in ("score", "region"):
        if text.strip().lower() == plain:
            return plain, 0.0
    raise ConfigError(
        f"invalid rule: '{text[:40]}' (expected {EXAMPLES})",
        remedy="--rule region",
        code="config/rule",
    )


def parse_area(text: str, mm_per_px: float | None, example: str, whole: str = "") -> float:
    """Turn `50`, `50px` or `0.5mm2` into pixels of the picture; ConfigError otherwise."""
    found = _AREA.fullmatch(text.strip().lower().replace(" ", ""))
    value = float(found[1]) if found else LARGEST + 1
    if found and found[2].startswith("mm"):
        if mm_per_px is None:
            raise ConfigError(
                f"'{(whole or text)[:40]}' is in mm2, and the size of a pixel is not known",
                remedy="--mm-per-px 0.05, or an area in pixels",
                code="config/no-scale",
            )
        value /= mm_per_px**2
    if not value <= LARGEST:
        raise ConfigError(
            f"invalid area: '{(whole or text)[:40]}' (expected 50, 50px or 0.5mm2, at most "
            f"{LARGEST:g} pixels)",
            remedy=example,
            code="config/area",
        )
    return value
