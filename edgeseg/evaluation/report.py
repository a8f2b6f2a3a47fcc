"""The report of an evaluation, as text and as JSON."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.cards import GraphCard
from edgeseg.data.damaged import DamagedImage, damaged_lines, damaged_to_json, refuse_damaged
from edgeseg.data.defective.known import described
from edgeseg.data.images import Image
from edgeseg.evaluation.assessment import TEST_GOOD, Assessment
from edgeseg.evaluation.folder import SCORES, SHEET, EvaluationFolder
from edgeseg.evaluation.operating_points import Rate
from edgeseg.evaluation.regions.score import thresholds_of
from edgeseg.evaluation.remembered import facts_of, remember
from edgeseg.evaluation.scores import ScoredImage, csv_text
from edgeseg.files import quoted, shown
from edgeseg.text import percent, table
from edgeseg.verdict.verdict import BY_SCORE

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
IMAGE_METRIC, PIXEL_METRICS = "image AUROC", "pixel metrics"


@dataclass(frozen=True, kw_only=True)
class CategoryScores:
    """The scores of one type of defect, or of all, against all good images of the test set."""

    label: str
    images: int
    """Defective images."""
    missed: int
    """Defective images with the verdict good."""
    scores: "Scores"
    undefined: dict[str, str] = field(default_factory=dict)
    """What could not be computed, and why."""

    def to_json(self) -> dict[str, Any]:
        facts = {"images": self.images, "missed": self.missed, "undefined": self.undefined}
        return {**self.scores.to_json(), **facts}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The results of one model on one test set."""

    overall: CategoryScores
    assessment: Assessment
    """What the figures mean."""
    images: tuple[ScoredImage, ...] = field(repr=False)
    """Every image of the test set, also a damaged one."""
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
    draw_sheet: Callable[[], Image] = field(repr=False, compare=False)
    """Draws the contact sheet of the worst errors."""
    folder: EvaluationFolder | None = field(default=None, repr=False, compare=False)
    """Of evaluation.json, scores.csv and sheet.png."""
    model: Path | None = None
    """The path of the model, whose card remembers the verdict."""
    root: Path | None = None
    """The folder of the data set."""
    doubts: tuple[str, ...] = ()
    """What looks wrong about images and masks, which was logged."""
    damaged: tuple[DamagedImage, ...] = ()
    """Test images that could not be read; none of the figures counts them."""
    trained_on: int = 0
    """Defective images that the model was trained on; none of the figures counts them."""
    strict: bool = False
    """Whether a damaged image is an error."""

    def table(self) -> str:
        """Return the metrics, overall and by type of defect, as text; `-`: not computed."""
        rows = [["", "images", "missed", *COLUMNS]]
        for row in (self.overall, *self.per_defect):
            values = (getattr(row.scores, name) for name in COLUMNS.values())
            cells = ("-" if math.isnan(value) else f"{value:.3f}" for value in values)
            label = row.label if row is self.overall else described(row.label, self.card.defects)
            rows.append([label, str(row.images), str(row.missed), *cells])
        return "\n".join(table(rows, "<" + ">" * (len(COLUMNS) + 2)))

    def summary(self) -> str:
        """Return model, data, metrics, error rates and files, as text."""
        card = self.card
        lines = [
            f"{card.name} on {self.good} {TEST_GOOD} and {self.overall.images} defective images of "
            f"{self.dataset} ({self.layout} layout), {self.backend}",
            self.table(),
            f"image threshold {card.image_threshold:.4g}, pixel threshold {card.threshold:.4g}; "
            f"with anomalous pixels: {_share(self.good_marked, self.good)} good images",
        ]
        if card.rule != BY_SCORE:
            lines.append(card.rule.words())
        lines += self._undefined()
        if self.without_mask:
            lines.append(f"without a mask: {self.without_mask} (used for the image AUROC only)")
        if self.trained_on:
            lines.append(f"left out: {self.trained_on} defective images that were trained on")
        lines += damaged_lines(self.damaged)
        paths = [self.model or "MODEL", self.root or "DATA"]
        lines += ["", *self.assessment.lines(" ".join(map(quoted, paths)))]
        if self.folder is not None:
            lines.append(f"worst misses and false rejects: {shown(self.folder.out / SHEET)}")
            lines.append(f"score and verdict of every image: {shown(self.folder.out / SCORES)}")
        return "\n".join(lines)

    def store(self) -> None:
        """Write the files where a folder was given, and the verdict to the card of the model.

        WriteError if a file cannot be written; a card that cannot is logged.
        """
        if self.folder is not None:
            self.folder.store(self.to_json(), csv_text(self.images), self.draw_sheet)
        if self.model is not None and self.assessment.ranking is not None:
            remember(self.model, facts_of(self.to_json(), self.card))

    def check(self) -> None:
        """DataError (`data/damaged-images`) for a damaged image, where that is an error."""
        if self.strict:
            refuse_damaged(self.damaged)

    def _of_type(self, row: CategoryScores) -> dict[str, Any]:
        trained = self.card.defects
        return row.to_json() | ({"seen": row.label in trained.values()} if trained else {})

    def _undefined(self) -> list[str]:
        """Return a line for each reason why something was not computed."""
        labels: dict[tuple[str, str], list[str]] = {}
        for row in (self.overall, *self.per_defect):
            for reason in row.undefined.items():
                labels.setdefault(reason, []).append(row.label)
        return [
            f"not computed: {what} of {', '.join(rows)}: {why}"
            for (what, why), rows in labels.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """Return everything, with the overall metrics at the top level; None if undefined."""
        card = self.card
        return {
            **self.overall.scores.to_json(),
            "undefined": self.overall.undefined,
            "doubts": list(self.doubts),
            **damaged_to_json(self.damaged),
            "per_defect": {row.label: self._of_type(row) for row in self.per_defect},
            "counts": {
                "good": self.good,
                "defective": self.overall.images,
                "without_mask": self.without_mask,
                "false_rejects": self.false_rejects,
                "good_marked": self.good_marked,
                "misses": self.overall.missed,
                "trained_on": self.trained_on,
            },
            "rates": {
                "false_rejects": Rate(self.false_rejects, self.good).to_json(),
                "misses": Rate(self.overall.missed, self.overall.images).to_json(),
            },
            "assessment": self.assessment.to_json(),
            "thresholds": thresholds_of(card),
            "model": {
                "name": card.name,
                "method": card.model,
                "weights_sha256": card.weights_sha256,
                "network_size": list(card.network_size),
                "frame_shape": list(card.frame_shape),
                "frame_format": card.frame_format,
            },
            "backend": self.backend,
            "dataset": {"name": self.dataset, "layout": self.layout},
        }


def _share(count: int, total: int) -> str:
    return f"{count} of {total}" + (f" ({percent(count / total)})" if total else "")
