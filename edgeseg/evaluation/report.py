"""What an evaluation found: a table that people read, a document that programs do."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.cards import GraphCard

if TYPE_CHECKING:
    from edgeseg.evaluation.metrics import Scores

COLUMNS = {
    "image AUROC": "image_auroc",
    "pixel AUROC": "pixel_auroc",
    "pixel AP": "pixel_ap",
    "IAP": "iap",
    "IAP@90": "iap90",
    "AUPRO": "aupro",
}
WIDTH = 12  # of a column, letters


@dataclass(frozen=True, kw_only=True)
class Row:
    """One type of defect, or all of them, against all good images of the test set."""

    label: str
    images: int
    """Defective images."""
    missed: int
    """Those of them that the image threshold lets pass."""
    scores: "Scores"

    def to_json(self) -> dict[str, Any]:
        return {**self.scores.to_json(), "images": self.images, "missed": self.missed}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How well one model does on one test set; the same on every machine, up to rounding."""

    overall: Row
    per_defect: tuple[Row, ...]
    good: int
    """Good images in the test set."""
    false_rejects: int
    """Good images that score above the image threshold."""
    good_marked: int
    """Good images with at least one pixel marked."""
    without_mask: int
    """Defective images without ground truth: they count for the image AUROC alone."""
    card: GraphCard
    backend: str
    dataset: str
    layout: str
    out: Path | None
    """Where evaluation.json and sheet.png were written."""

    def table(self) -> str:
        """Return the metrics, overall and by type of defect, as plain text; `-` is undefined."""
        rows = [self.overall, *self.per_defect]
        stub = max(len(row.label) for row in rows)
        head = "".join(f"{name:>{WIDTH}}" for name in ("images", "missed", *COLUMNS))
        return "\n".join([" " * stub + head, *(_line(row, stub) for row in rows)])

    def summary(self) -> str:
        """Return the table with what was run, the verdicts and where the files lie."""
        card, defective = self.card, self.overall.images
        lines = [
            f"{card.name} on {self.dataset} ({self.layout} layout), {self.backend}",
            self.table(),
            f"{_share(self.false_rejects, self.good)} good images are rejected: "
            f"score above {card.image_threshold:.4g}",
            f"{_share(self.good_marked, self.good)} good images have a marked pixel: "
            f"map above {card.threshold:.4g}",
            f"{_share(self.overall.missed, defective)} defective images are missed",
        ]
        if self.without_mask:
            lines.append(f"{self.without_mask} of them have no mask: in the image AUROC alone")
        if self.out is not None:
            lines.append(f"worst misses and false alarms: {self.out / 'sheet.png'}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the overall metrics at the top level; None where one is undefined."""
        card = self.card
        return {
            **self.overall.scores.to_json(),
            "per_defect": {row.label: row.to_json() for row in self.per_defect},
            "counts": {
                "good": self.good,
                "defective": self.overall.images,
                "without_mask": self.without_mask,
                "false_rejects": self.false_rejects,
                "good_marked": self.good_marked,
                "misses": self.overall.missed,
            },
            "thresholds": {"image": card.image_threshold, "pixel": card.threshold},
            "model": {
                "name": card.name,
                "method": card.model,
                "weights_sha256": card.weights_sha256,
                "image_size": card.image_size,
                "frame_shape": list(card.frame_shape),
                "frame_format": card.frame_format,
            },
            "backend": self.backend,
            "dataset": {"name": self.dataset, "layout": self.layout},
        }


def _line(row: Row, stub: int) -> str:
    values = (getattr(row.scores, name) for name in COLUMNS.values())
    cells = ("-" if math.isnan(value) else f"{value:.3f}" for value in values)
    return f"{row.label:{stub}}" + "".join(
        f"{c:>{WIDTH}}" for c in (row.images, row.missed, *cells)
    )


def _share(count: int, total: int) -> str:
    return f"{count} of {total}" + (f" ({count / total:.1%})" if total else "")
