"""Any backend over a test set: six metrics, the verdicts at its card's thresholds, the worst cases.

Ground truth is brought to the maps' size as the paper does it, antialiased and then cut at one
half. An image is good or defective by its folder and not by its mask: a defect that is too fine to
survive the reduction, or that nobody has drawn, still makes a defective image.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.data.images import Image, Mask, read_mask, resize_mask, write_png
from edgeseg.data.layouts import GOOD, Dataset, Sample
from edgeseg.errors import DataError
from edgeseg.evaluation.contact_sheet import Case, draw_sheet
from edgeseg.evaluation.inference import run_images
from edgeseg.evaluation.report import Evaluation, Row
from edgeseg.extras import require
from edgeseg.files import write_atomic
from edgeseg.runtime.base import Backend

if TYPE_CHECKING:
    from edgeseg.evaluation.metrics import Scores

WORST = 6  # cases of each kind on the sheet

Flags = NDArray[np.bool_]


def evaluate(backend: Backend, dataset: Dataset, *, out: Path | None = None) -> Evaluation:
    """Run the test images through a backend and score what comes out.

    out: a folder for evaluation.json and sheet.png, the worst misses and false alarms.
    Errors: DataError for a dataset without test images, a damaged image, a mask of another size.
    """
    if not dataset.test:
        root = dataset.root
        folders = f"{root / 'bad'}"
        if dataset.layout != "plain":
            folders = f"{root / 'test' / GOOD} and {root / 'test' / '<defect>'}"
        raise DataError(
            f"{root} ({dataset.layout} layout) holds no image to test on.",
            remedy=f"put labelled photos into {folders}",
        )
    require("scipy", extra="train")
    card = backend.card
    results = _run(backend, dataset.test)
    rejected = results.score > card.image_threshold
    labels = np.array([sample.label for sample in dataset.test])
    defects = sorted(set(labels[~results.good].tolist()))
    evaluation = Evaluation(
        overall=_row("all", results, ~results.good, rejected, card),
        per_defect=tuple(_row(d, results, labels == d, rejected, card) for d in defects),
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
    """What came out for each of N test images, beside what is true of it."""

    maps: NDArray[np.float32]
    """[N, S, S]"""
    truth: Flags
    """[N, S, S]"""
    score: NDArray[np.float64]
    marked: Flags
    """Whether the mask has a pixel set."""
    good: Flags
    judged: Flags
    """Whether the truth of every pixel is known: of good images, and of those with a mask."""


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

    DataError for a mask that is not as large as its image.
    """
    mask = read_mask(path)
    if mask.shape != size:
        raise DataError(
            f"The mask {path} is {mask.shape[1]} x {mask.shape[0]} pixels, its image {sample.path} "
            f"{size[1]} x {size[0]}; the same size was expected.",
            remedy="draw the mask on the image as it is, or remove the mask",
        )
    return resize_mask(mask, side)


def score_results(results: Results, defective: Flags, *, top: int) -> "Scores":
    """Score some defective images, bool [N], against all good ones."""
    from edgeseg.evaluation.metrics import UNDEFINED, auroc, score_maps

    known = (defective | results.good) & results.judged
    scores = UNDEFINED
    if known.any():
        scores = score_maps(results.maps[known], results.truth[known], top=top)
    # By folder, and by the graph's own score: the one that rejects parts.
    image_auroc = auroc(results.score[defective], results.score[results.good])
    return replace(scores, image_auroc=image_auroc)


def _row(label: str, results: Results, defective: Flags, rejected: Flags, card: GraphCard) -> Row:
    return Row(
        label=label,
        images=int(defective.sum()),
        missed=int((defective & ~rejected).sum()),
        scores=score_results(results, defective, top=card.training["top"]),
    )


def _sheet(results: Results, dataset: Dataset, rejected: Flags, card: GraphCard) -> Image:
    """Draw the defective images with the lowest scores, and the good ones with the highest."""

    def case(place: int) -> Case:
        path = dataset.test[place].path
        verdict = "rejected" if rejected[place] else "passed"
        name = path.relative_to(dataset.root).as_posix()
        return Case(
            path=path,
            title=f"{name}  {results.score[place]:.3f} {verdict}",
            anomaly_map=results.maps[place],
            truth=results.truth[place] if results.judged[place] else None,
        )

    order = np.argsort(results.score, kind="stable")
    misses = order[~results.good[order]][:WORST]
    alarms = order[results.good[order]][::-1][:WORST]
    return draw_sheet([case(i) for i in misses], [case(i) for i in alarms], card.threshold)
