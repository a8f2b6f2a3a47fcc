"""Evaluate a model on a test set: six metrics, verdicts at its thresholds, the worst errors.

Masks are resized to the anomaly map as in the paper, antialiased and thresholded at 0.5. An image
is good or defective by its folder, not by its mask: a defect that vanishes in the resize, or that
has no mask, still makes a defective image.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.data.images import Image, Mask, resize_mask, write_png
from edgeseg.data.layouts import GOOD, Dataset, Sample
from edgeseg.data.truth import read_mask
from edgeseg.errors import DataError
from edgeseg.evaluation.contact_sheet import SheetImage, draw_sheet
from edgeseg.evaluation.report import CategoryScores, Evaluation
from edgeseg.evaluation.run_images import run_images
from edgeseg.extras import require
from edgeseg.files import write_atomic
from edgeseg.runtime.base import Backend
from edgeseg.verdict import are_anomalous

if TYPE_CHECKING:
    from edgeseg.evaluation.metrics import Scores

WORST = 6  # images of each kind on the contact sheet

Flags = NDArray[np.bool_]


def evaluate(backend: Backend, dataset: Dataset, *, out: Path | None = None) -> Evaluation:
    """Run the test images and compute the metrics.

    out: folder for evaluation.json and sheet.png, the worst misses and false rejects.
    Errors: DataError for a data set without test images, a damaged image, a mask of another size.
    """
    if not dataset.test:
        root = dataset.root
        folders = f"{root / 'bad'}"
        if dataset.layout != "plain":
            folders = f"{root / 'test' / GOOD} and {root / 'test' / '<defect>'}"
        raise DataError(
            f"no test images in {root} ({dataset.layout} layout)",
            remedy=f"add labeled images to {folders}",
            code="data/no-test-images",
        )
    require("scipy", extra="cpu")
    card = backend.card
    results = _run(backend, dataset.test)
    rejected = are_anomalous(results.score, card.image_threshold)
    labels = np.array([sample.label for sample in dataset.test])
    defects = sorted(set(labels[~results.good].tolist()))
    evaluation = Evaluation(
        overall=_scores("all", results, ~results.good, rejected, card),
        per_defect=tuple(_scores(d, results, labels == d, rejected, card) for d in defects),
        good=int(results.good.sum()),
        false_rejects=int((rejected & results.good).sum()),
        good_marked=int((results.marked & results.good).sum()),
        without_mask=int((~results.judged).sum()),
        card=card,
        backend=backend.name,
        dataset=dataset.name,
        layout=dataset.layout,
        out=out,
    )
    if out is not None:
        text = json.dumps(evaluation.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomic(out / "evaluation.json", (text + "\n").encode())
        write_png(out / "sheet.png", _sheet(results, dataset, rejected, card))
    return evaluation


@dataclass(frozen=True)
class Results:
    """The outputs for N test images, and their ground truth."""

    maps: NDArray[np.float32]
    """[N, S, S]"""
    truth: Flags
    """[N, S, S]"""
    score: NDArray[np.float64]
    marked: Flags
    """Whether the mask has an anomalous pixel."""
    good: Flags
    judged: Flags
    """Whether the ground truth of the pixels is known: good images, and those with a mask."""


def _run(backend: Backend, samples: Sequence[Sample]) -> Results:
    count, side = len(samples), backend.card.image_size
    good = np.array([sample.good for sample in samples])
    drawn = np.array([sample.mask is not None for sample in samples])
    results = Results(
        maps=np.empty((count, side, side), np.float32),
        truth=np.zeros((count, side, side), np.bool_),
        score=np.empty(count),
        marked=np.empty(count, np.bool_),
        good=good,
        judged=good | drawn,
    )
    outcomes = run_images(backend, [sample.path for sample in samples], title="evaluate")
    for place, (sample, outcome) in enumerate(zip(samples, outcomes, strict=True)):
        results.maps[place] = outcome.anomaly_map
        results.score[place] = outcome.score
        results.marked[place] = outcome.mask.any()
        if sample.mask is not None:
            results.truth[place] = read_truth(sample.mask, sample, outcome.size, side)
    return results


def read_truth(path: Path, sample: Sample, size: tuple[int, int], side: int) -> Mask:
    """Read the mask of an image of (height, width) `size`, as bool [side, side].

    DataError for a mask of another size than its image.
    """
    mask = read_mask(path)
    if mask.shape != size:
        raise DataError(
            f"invalid mask {path}: {mask.shape[1]} x {mask.shape[0]} pixels (expected the size of "
            f"{sample.path}: {size[1]} x {size[0]})",
            remedy="draw the mask at the size of the image, or remove it",
            code="data/mask-size",
        )
    return resize_mask(mask, side)


def score_results(results: Results, defective: Flags, *, top: int) -> "Scores":
    """Compute the metrics of some defective images, bool [N], against all good ones."""
    from edgeseg.evaluation.metrics import UNDEFINED, auroc, score_maps

    known = (defective | results.good) & results.judged
    scores = UNDEFINED
    if known.any():
        scores = score_maps(results.maps[known], results.truth[known], top=top)
    # Labels by folder, and the score of the graph, which decides the verdict.
    image_auroc = auroc(results.score[defective], results.score[results.good])
    return replace(scores, image_auroc=image_auroc)


def _scores(
    label: str, results: Results, defective: Flags, rejected: Flags, card: GraphCard
) -> CategoryScores:
    return CategoryScores(
        label=label,
        images=int(defective.sum()),
        missed=int((defective & ~rejected).sum()),
        scores=score_results(results, defective, top=card.training["top"]),
    )


def _sheet(results: Results, dataset: Dataset, rejected: Flags, card: GraphCard) -> Image:
    """Draw the defective images with the lowest scores, and the good ones with the highest."""

    def tile(place: int) -> SheetImage:
        path = dataset.test[place].path
        verdict = "anomalous" if rejected[place] else "good"
        name = path.relative_to(dataset.root).as_posix()
        return SheetImage(
            path=path,
            title=f"{name}  {results.score[place]:.3f} {verdict}",
            anomaly_map=results.maps[place],
            truth=results.truth[place] if results.judged[place] else None,
        )

    order = np.argsort(results.score, kind="stable")
    misses = order[~results.good[order]][:WORST]
    rejects = order[results.good[order]][::-1][:WORST]
    return draw_sheet(
        [tile(i) for i in misses], [tile(i) for i in rejects], card.threshold, card.bit_depth
    )
