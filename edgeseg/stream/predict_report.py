"""The result of `predict`: each image with its verdict, and the images that could not be read."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from edgeseg.data.damaged import DamagedImage, damaged_lines, damaged_to_json, refuse_damaged
from edgeseg.files import shown
from edgeseg.schema import without_nan
from edgeseg.text import counted, table
from edgeseg.verdict.names import UNKNOWN, VerdictName
from edgeseg.verdict.regions import Region
from edgeseg.verdict.rule import Rule
from edgeseg.verdict.verdict import BY_SCORE, refuse_unknown


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """The result of one image, as in its line of predictions.jsonl."""

    file: str
    score: float
    """NaN, in JSON null, where the model returned none."""
    verdict: VerdictName
    reason: str
    """Why the image is unknown; empty for another verdict."""
    milliseconds: float
    """From the decoded image to the graph's mask."""
    outputs: dict[str, str]
    """`mask`, `overlay`, `map` -> file name in the output folder."""
    regions: tuple[Region, ...] = ()
    """Those that count by the rule, the largest first."""
    region_count: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the result as one JSON object."""
        values: dict[str, Any] = without_nan(vars(self))
        return values | {"regions": [region.to_json() for region in self.regions]}


@dataclass(frozen=True, kw_only=True)
class PredictReport:
    """The results of one call, in the order of the images."""

    out: Path
    engine: str
    threshold: float
    image_threshold: float
    rule: Rule
    images: tuple[ImageResult, ...]
    damaged: tuple[DamagedImage, ...] = ()
    strict: bool = False
    """Whether a damaged image is an error."""

    def summary(self) -> str:
        """Return the results as text."""
        rows = [
            (
                shown(each.file),
                f"{each.score:.4f}",
                each.verdict,
                each.reason,
                f"{each.milliseconds:.1f} ms",
                counted(each.region_count, "region") if each.region_count else "",
            )
            for each in self.images
        ]
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.counts().items())
        end = [f"{counts}  ({self.engine})", f"written to {shown(self.out)}"]
        if self.rule != BY_SCORE:
            end.insert(1, self.rule.words())
        return "\n".join([*table(rows, "<><<>>"), *end, *damaged_lines(self.damaged)])

    def counts(self) -> dict[str, int]:
        """Return how many images have each verdict; damaged ones are unknown."""
        found = Counter(each.verdict for each in self.images)
        found[UNKNOWN] += len(self.damaged)
        return {name: found[name] for name in get_args(VerdictName)}

    def to_json(self) -> dict[str, Any]:
        """Return the results as one JSON object."""
        return {
            "out": str(self.out),
            "engine": self.engine,
            "threshold": self.threshold,
            "image_threshold": self.image_threshold,
            "rule": asdict(self.rule),
            **self.counts(),
            "images": [image.to_json() for image in self.images],
            **damaged_to_json(self.damaged),
        }

    def check(self) -> None:
        """DataError for a damaged or an unknown image, where that is an error.

        Codes: `data/damaged-images`, `data/unknown`.
        """
        if self.strict:
            refuse_damaged(self.damaged)
            refuse_unknown(self.counts()["unknown"], len(self.images), "images")
