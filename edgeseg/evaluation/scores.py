"""scores.csv of an evaluation: one row for each image of the test set, also for damaged ones."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from edgeseg.data.damaged import DamagedImage
from edgeseg.data.layouts import GOOD, Dataset, Sample
from edgeseg.files import shown
from edgeseg.verdict.names import UNKNOWN
from edgeseg.verdict.verdict import Verdict

DAMAGED = "cannot be read"


@dataclass(frozen=True, kw_only=True)
class ScoredImage:
    """An image of a test set, and what the model said."""

    file: str
    """Path from the folder of the data set, with `/`."""
    label: str
    """`good`, or the type of the defect."""
    verdict: str
    """`good`, `anomalous`, or `unknown` for what could not be judged."""
    score: float | None = None
    """Image score, or region score where the regions decide; None for a damaged image."""
    peak: float | None = None
    """Highest value of the anomaly map, which the pixel threshold is compared with."""
    marked_pixels: int | None = None
    """Anomalous pixels of the mask, at frame size."""
    reason: str = ""
    """Why the verdict is unknown."""

    @property
    def good(self) -> bool:
        return self.label == GOOD


def scored_image(
    sample: Sample, dataset: Dataset, verdict: Verdict, outputs: tuple[float, float, int]
) -> ScoredImage:
    """Return the row of an image. outputs: score, peak of the map, anomalous pixels."""
    score, peak, marked = outputs
    return ScoredImage(
        file=sample.path.relative_to(dataset.root).as_posix(),
        label=sample.label,
        verdict=verdict.name,
        score=score,
        peak=peak,
        marked_pixels=marked,
        reason=verdict.reason,
    )


def damaged_rows(found: Sequence[DamagedImage], dataset: Dataset) -> list[ScoredImage]:
    """Return the rows of the images that could not be read."""
    labels = {str(sample.path): sample.label for sample in dataset.test}
    return [
        ScoredImage(
            file=Path(each.file).relative_to(dataset.root).as_posix(),
            label=labels[each.file],
            verdict=UNKNOWN,
            reason=DAMAGED,
        )
        for each in found
    ]


def csv_text(rows: Sequence[ScoredImage]) -> str:
    """Return the rows as CSV with a header, the lowest scores first; names are escaped for text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(ScoredImage)], lineterminator="\n")
    writer.writeheader()
    for row in sorted(rows, key=lambda row: (row.score is None, row.score)):
        writer.writerow(asdict(row) | {"file": shown(row.file)})
    return text.getvalue()
