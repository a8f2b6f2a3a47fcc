"""What is known about a model's verdicts: measured now on labeled photos, or stored before."""

import csv
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard, ModelCard
from edgeseg.data.damaged import DamagedImages
from edgeseg.data.layouts import GOOD, Dataset
from edgeseg.errors import DataError
from edgeseg.evaluation.evaluate import evaluate
from edgeseg.evaluation.folder import DOCUMENT, EVALUATIONS, SCORES
from edgeseg.evaluation.operating_points import Rate
from edgeseg.evaluation.regions.score import judge_outcome, judges_alike
from edgeseg.evaluation.run_images import Outcome, run_images
from edgeseg.evaluation.scores import ScoredImage
from edgeseg.files import newest
from edgeseg.runtime.base import Backend
from edgeseg.verdict.names import UNKNOWN

LARGEST = 64 << 20  # bytes of a stored file


@dataclass(frozen=True, kw_only=True)
class Judgements:
    """The photos that a model has judged."""

    rows: tuple[ScoredImage, ...]
    document: dict[str, Any]
    """As in evaluation.json; empty if only good parts were judged."""
    source: str
    """Where the figures are from, in words."""
    backend: str
    """The runtime that judged."""
    dataset: Dataset | None = None
    """Where the photos are; None: they are not at hand."""
    folder: Path | None = None
    """Of a stored evaluation."""
    set_threshold: bool = False
    """Whether the threshold was set on these very photos."""
    by_regions: bool = False
    """Whether the scores are region scores, and the threshold is the pixel threshold."""
    judged: tuple[ScoredImage, ...] = field(init=False)
    """The photos that have a verdict other than unknown."""

    def __post_init__(self) -> None:
        judged = tuple(r for r in self.rows if r.verdict != UNKNOWN and r.score is not None)
        object.__setattr__(self, "judged", judged)

    @property
    def kinds(self) -> tuple[str, str]:
        """What decides the verdicts: the kind of the scores, and that of the threshold."""
        return ("region", "pixel") if self.by_regions else ("image", "image")

    @property
    def scores(self) -> NDArray[np.float64]:
        """Image scores of the judged photos, [N]."""
        return np.array([row.score for row in self.judged], np.float64)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Whether the judged photos show good parts, [N]."""
        return np.array([row.good for row in self.judged], np.bool_)

    @property
    def assessment(self) -> dict[str, Any]:
        """The verdict of the evaluation on the model."""
        found: dict[str, Any] = self.document.get("assessment", {})
        return found

    def rejected(self) -> Rate:
        """False rejects among the judged good parts."""
        return _rate(row.verdict != "good" for row in self.judged if row.good)

    def missed(self, label: str | None = None) -> Rate:
        """Misses among the judged defective parts, of one type or of all."""
        wanted = (row for row in self.judged if not row.good and label in (None, row.label))
        return _rate(row.verdict == "good" for row in wanted)

    def unknown(self, *, good: bool) -> Rate:
        """Photos without a verdict among all of good, or of defective, parts."""
        return _rate(row.verdict == UNKNOWN for row in self.rows if row.good == good)

    def types(self) -> list[str]:
        """The types of defects, those with the most misses first."""
        labels = {row.label for row in self.rows if not row.good}
        return sorted(labels, key=lambda label: (-self.missed(label).count, label))


def measure(backend: Backend, dataset: Dataset, card: ModelCard | None) -> Judgements:
    """Judge the labeled photos of a data set; without any, the held-out good ones of the run."""
    if dataset.test:
        found = evaluate(backend, dataset)
        return Judgements(
            rows=found.images,
            document=found.to_json(),
            source=f"{len(found.images)} labeled photos of {dataset.name}, judged for this report",
            backend=backend.name,
            dataset=dataset,
            by_regions=backend.card.rule.by_regions,
        )
    held = [dataset.root / name for name in (card.split if card else {}).get("holdout", {})]
    held = [path for path in held if path.is_file()]
    if not held:
        raise DataError(
            f"no labeled images in {dataset.root}, and none of the held-out images of the model",
            remedy=f"add photos of defective parts to {dataset.root / 'bad'}",
            code="data/no-test-images",
        )
    rows = tuple(
        _judged(outcome, dataset, backend.card)
        for outcome in run_images(backend, held, title="report", damaged=DamagedImages())
    )
    return Judgements(
        rows=rows,
        document={},
        source=f"{len(rows)} held-out good photos of {dataset.name}",
        backend=backend.name,
        dataset=dataset,
        set_threshold=True,
        by_regions=backend.card.rule.by_regions,
    )


def stored(card: GraphCard, folder: Path = EVALUATIONS) -> Judgements | None:
    """Return the newest stored evaluation of the same weights and thresholds, or None."""
    for path in newest(folder, f"*/*/{DOCUMENT}"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            document = json.loads(_read(path))
            same = document["model"]["weights_sha256"] == card.weights_sha256
            if same and judges_alike(document["thresholds"], card):
                rows = csv.DictReader(_read(path.with_name(SCORES)).splitlines())
                return Judgements(
                    rows=tuple(map(_row, rows)),
                    document=document,
                    source=f"photos of {document['dataset']['name']}, by a stored evaluation",
                    backend=str(document["backend"]),
                    folder=path.parent,
                    by_regions=card.rule.by_regions,
                )
    return None


def _judged(outcome: Outcome, dataset: Dataset, card: GraphCard) -> ScoredImage:
    """Return the row of a good photo."""
    found, score = judge_outcome(outcome, card)
    return ScoredImage(
        file=outcome.path.relative_to(dataset.root).as_posix(),
        label=GOOD,
        verdict=found.name,
        score=score,
        peak=float(outcome.anomaly_map.max()),
        reason=found.reason,
    )


def _read(path: Path) -> str:
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} is too large")
    return path.read_text(encoding="utf-8")


def _row(cells: dict[str, str]) -> ScoredImage:
    marked = cells["marked_pixels"]
    return ScoredImage(
        file=cells["file"],
        label=cells["label"],
        verdict=cells["verdict"],
        score=float(cells["score"]) if cells["score"] else None,
        peak=float(cells["peak"]) if cells["peak"] else None,
        marked_pixels=int(marked) if marked else None,
        reason=cells["reason"],
    )


def _rate(seen: Iterable[bool]) -> Rate:
    found = list(seen)
    return Rate(sum(found), len(found))
