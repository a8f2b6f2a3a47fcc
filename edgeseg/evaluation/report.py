"""The report of an evaluation, as text and as JSON."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.cards import GraphCard
from edgeseg.text import table

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


@dataclass(frozen=True, kw_only=True)
class CategoryScores:
    """The scores of one type of defect, or of all, against all good images of the test set."""

    label: str
    images: int
    """Defective images."""
    missed: int
    """Defective images with the verdict good."""
    scores: "Scores"

    def to_json(self) -> dict[str, Any]:
        return {**self.scores.to_json(), "images": self.images, "missed": self.missed}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The results of one model on one test set."""

    overall: CategoryScores
    per_defect: tuple[CategoryScores, ...]
    good: int
    """Good images in the test set."""
    false_rejects: int
    """Good images with the verdict anomalous."""
    good_marked: int
    """Good images with at least one anomalous pixel."""
    without_mask: int
    """Defective images without a mask, which count for the image AUROC only."""
    card: GraphCard
    backend: str
    dataset: str
    layout: str
    out: Path | None
    """Folder of evaluation.json and sheet.png."""

    def table(self) -> str:
        """Return the metrics, overall and by type of defect, as text; `-`: undefined."""
        rows = [["", "images", "missed", *COLUMNS]]
        for row in (self.overall, *self.per_defect):
            values = (getattr(row.scores, name) for name in COLUMNS.values())
            cells = ("-" if math.isnan(value) else f"{value:.3f}" for value in values)
            rows.append([row.label, str(row.images), str(row.missed), *cells])
        return "\n".join(table(rows, "<" + ">" * (len(COLUMNS) + 2)))

    def summary(self) -> str:
        """Return model, data, metrics, error rates and files, as text."""
        card, defective = self.card, self.overall.images
        lines = [
            f"{card.name} on {self.dataset} ({self.layout} layout), {self.backend}",
            self.table(),
            f"false-reject rate (overkill): {_share(self.false_rejects, self.good)} good images, "
            f"image threshold {card.image_threshold:.4g}",
            f"miss rate (escape): {_share(self.overall.missed, defective)} defective images",
            f"with anomalous pixels: {_share(self.good_marked, self.good)} good images, "
            f"pixel threshold {card.threshold:.4g}",
        ]
        if self.without_mask:
            lines.append(f"without a mask: {self.without_mask} (used for the image AUROC only)")
        if self.out is not None:
            lines.append(f"worst misses and false rejects: {self.out / 'sheet.png'}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return everything, with the overall metrics at the top level; None if undefined."""
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


def _share(count: int, total: int) -> str:
    return f"{count} of {total}" + (f" ({count / total:.1%})" if total else "")
