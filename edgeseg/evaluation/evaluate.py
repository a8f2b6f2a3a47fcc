"""Evaluate a model on a test set: six metrics, verdicts at its thresholds, what they mean.

Masks are resized to the anomaly map as in the paper, antialiased and thresholded at 0.5. An image
is good or defective by its folder, not by its mask: a defect that vanishes in the resize, or that
has no mask, still makes a defective image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.data.damaged import DamagedImages
from edgeseg.data.defective.known import (
    doubts_of_trained,
    refuse_good_and_bad,
    unseen_samples,
)
from edgeseg.data.images import Image, Mask, read_pixels, resize_mask
from edgeseg.data.layouts import BARE, GOOD, Dataset, Sample
from edgeseg.data.truth import check_masks, read_mask_of
from edgeseg.errors import DataError
from edgeseg.evaluation.assessment import TEST_GOOD, assess
from edgeseg.evaluation.contact_sheet import SheetImage, draw_sheet
from edgeseg.evaluation.folder import EvaluationFolder
from edgeseg.evaluation.operating_points import auroc
from edgeseg.evaluation.regions.score import judge_outcome
from edgeseg.evaluation.remembered import run_card
from edgeseg.evaluation.report import IMAGE_METRIC, PIXEL_METRICS, CategoryScores, Evaluation
from edgeseg.evaluation.run_images import Outcome, run_images
from edgeseg.evaluation.scores import damaged_rows, scored_image
from edgeseg.frame.geometry import Box, Size
from edgeseg.frame.locate import STILL, Shift, moved
from edgeseg.frame.roi import Roi
from edgeseg.log import log
from edgeseg.packages.extras import require
from edgeseg.runtime.base import Backend
from edgeseg.verdict.names import ANOMALOUS
from edgeseg.verdict.names import GOOD as PASSED
from edgeseg.verdict.verdict import Verdict

if TYPE_CHECKING:
    from edgeseg.evaluation.metrics import Scores

WORST = 6  # images of each kind on the contact sheet

Flags = NDArray[np.bool_]


def evaluate(
    backend: Backend,
    dataset: Dataset,
    *,
    out: Path | None = None,
    model: Path | None = None,
    strict: bool = False,
) -> Evaluation:
    """Run the test images and compute the metrics.

    out: folder for evaluation.json, scores.csv and sheet.png, the worst misses and false rejects,
    which `store` of the result writes. model: the path of the opened model, whose card `store`
    writes the verdict to. A damaged image is listed; strict: `check` of the result refuses it.
    Errors: DataError for a data set without test images, an image that is both good and defective,
    a damaged mask, a mask of another size; those of `EvaluationFolder`, before the first image.
    """
    folder = None if out is None else EvaluationFolder(out)
    try:
        return _evaluate(backend, dataset, folder, model, strict=strict)
    except BaseException:
        if folder is not None:
            folder.close()
        raise


def _evaluate(
    backend: Backend,
    dataset: Dataset,
    folder: EvaluationFolder | None,
    model: Path | None,
    *,
    strict: bool,
) -> Evaluation:
    if not dataset.test:
        root = dataset.root
        remedy = f"add labeled images to {root / 'bad'}"
        if dataset.layout == BARE:
            remedy = (
                "edgeseg evaluate FOLDER, where FOLDER/good has photos of good parts that were not "
                "trained on, and FOLDER/bad photos of bad ones"
            )
        elif dataset.layout != "plain":
            folders = f"{root / 'test' / GOOD} and {root / 'test' / '<defect>'}"
            remedy = f"add labeled images to {folders}"
        raise DataError(
            f"no test images in {root} ({dataset.layout} layout)",
            remedy=remedy,
            code="data/no-test-images",
        )
    require("scipy", extra="cpu")
    card = backend.card
    refuse_good_and_bad(dataset)
    run = None if model is None else run_card(model, card)
    trained = run.split.get("train", {}).values() if run else ()
    doubts = [*check_masks(dataset), *doubts_of_trained(dataset.test, set(trained), card.name)]
    for line in doubts:
        log.warning(line)
    damaged = DamagedImages()
    judging = unseen_samples(dataset.test, card.defects)
    results, samples, verdicts = _run(backend, judging, damaged)
    unseen = results.judged & ~results.good & ~results.truth.any(axis=(1, 2))
    if card.roi and unseen.any():
        doubts.append(f"{unseen.sum()} defective images have no defect inside of the ROI")
        log.warning(doubts[-1])
    rejected = np.array([verdict.name == ANOMALOUS for verdict in verdicts], np.bool_)
    passed = np.array([verdict.name == PASSED for verdict in verdicts], np.bool_)
    labels = np.array([sample.label for sample in samples])
    defects = sorted(set(labels[~results.good].tolist()))
    overall = _scores("all", results, ~results.good, passed, card)
    peaks = results.maps.max(axis=(1, 2))
    outputs = zip(results.score.tolist(), peaks.tolist(), results.marked.tolist(), strict=True)
    rows = [
        scored_image(sample, dataset, verdict, found)
        for sample, verdict, found in zip(samples, verdicts, outputs, strict=True)
    ]
    return Evaluation(
        overall=overall,
        assessment=assess(
            results.score,
            results.good,
            card.decisive_threshold,
            auroc=overall.scores.image_auroc,
            pixel_ap=overall.scores.pixel_ap,
            image_size=min(card.network_size),
            reasons=[verdict.reason for verdict in verdicts],
            good_kind=TEST_GOOD,
            use_defects=bool(card.defects),
        ),
        images=(*rows, *damaged_rows(damaged.found, dataset)),
        per_defect=tuple(_scores(d, results, labels == d, passed, card) for d in defects),
        good=int(results.good.sum()),
        false_rejects=int((rejected & results.good).sum()),
        good_marked=int(((results.marked > 0) & results.good).sum()),
        without_mask=int((~results.judged).sum()),
        card=card,
        backend=backend.name,
        dataset=dataset.name,
        layout=dataset.layout,
        doubts=tuple(doubts),
        damaged=tuple(damaged.found),
        trained_on=len(dataset.test) - len(judging),
        strict=strict,
        folder=folder,
        model=model,
        root=dataset.root,
        draw_sheet=partial(_sheet, results, dataset.root, samples, verdicts, card),
    )


@dataclass(frozen=True)
class Results:
    """The outputs for N test images, and their ground truth."""

    maps: NDArray[np.float32]
    """[N, h, w]"""
    truth: Flags
    """[N, h, w]"""
    boxes: NDArray[np.intp]
    """[N, 4], a Box each: where the image lies in its map. The rest of the map does not count."""
    score: NDArray[np.float64]
    """What decides the verdict: image score or region score (regions/score.py)."""
    marked: NDArray[np.int64]
    """Anomalous pixels of the mask, at frame size."""
    good: Flags
    judged: Flags
    """Whether the ground truth of the pixels is known: good images, and those with a mask."""
    inside: Flags
    """[N, h, w], the pixels that count: where the image is, and in the ROIs."""

    def subset(self, places: Sequence[int]) -> "Results":
        """Return the results of some of the images."""
        chosen = np.array(places, np.intp)
        return Results(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})


def _run(
    backend: Backend, samples: Sequence[Sample], damaged: DamagedImages
) -> tuple[Results, list[Sample], list[Verdict]]:
    """Return the results, and the samples that they are of: those that are not damaged."""
    card = backend.card
    count, size = len(samples), card.map_size
    good = np.array([sample.good for sample in samples])
    drawn = np.array([sample.mask is not None for sample in samples])
    results = Results(
        maps=np.zeros((count, *size), np.float32),
        truth=_truths(samples, card),
        boxes=np.zeros((count, 4), np.intp),
        score=np.empty(count),
        marked=np.empty(count, np.int64),
        good=good,
        judged=good | drawn,
        inside=np.zeros((count, *size), np.bool_),
    )
    paths = [sample.path for sample in samples]
    places: list[int] = []
    verdicts = []
    for outcome in run_images(backend, paths, title="evaluate", damaged=damaged):
        places.append(outcome.place)
        judged = judge_outcome(outcome, card)
        verdicts.append(judged.verdict)
        box = outcome.box
        results.inside[outcome.place, box.rows, box.columns] = True
        results.boxes[outcome.place] = box
        results.maps[outcome.place, box.rows, box.columns] = outcome.in_image()
        if card.roi is not None:
            part = results.inside[outcome.place, box.rows, box.columns]
            part[:] = _moved_inside(card.roi, outcome)
        results.score[outcome.place] = judged.score
        results.marked[outcome.place] = np.count_nonzero(outcome.mask)
    np.logical_and(results.truth, results.inside, out=results.truth)
    if len(places) == count:
        return results, list(samples), verdicts
    return results.subset(places), [samples[place] for place in places], verdicts


def _truths(samples: Sequence[Sample], card: GraphCard) -> Flags:
    """Read all masks, bool [N, h, w], so that a wrong one is found before the first run."""
    truths = np.zeros((len(samples), *card.map_size), np.bool_)
    for place, sample in enumerate(samples):
        if sample.mask is None:
            continue
        try:
            height, width = read_pixels(sample.path).shape[:2]
        except DataError:  # reported when it is run
            continue
        truths[place] = read_truth(sample.mask, sample, (height, width), card)
    return truths


def read_truth(
    path: Path, sample: Sample, size: Size, card: GraphCard, shift: Shift = STILL
) -> Mask:
    """Read the mask of an image of a size where the model's map shows it, as bool [h, w].

    shift: by which the image is moved.
    DataError for a mask of another size than its image.
    """
    mask, box = moved(read_mask_of(sample.path, path, size), shift), card.content_of(size)
    return resize_mask(mask, card.map_size, box)


def inside_boxes(boxes: NDArray[np.intp], size: tuple[int, ...], roi: Roi | None = None) -> Flags:
    """Return which pixels of maps of a size count, bool [N, h, w]: inside of boxes [N, 4] and ROIs.

    The boxes are where the images lie.
    """
    inside = np.zeros((len(boxes), *size), np.bool_)
    for each, found in zip(inside, boxes.tolist(), strict=True):
        box = Box(*found)
        each[box.rows, box.columns] = True if roi is None else roi.labeled(box.size).inside
    return inside


def _moved_inside(roi: Roi, outcome: Outcome) -> Flags:
    """Return what is inspected of the map of an image, bool [h, w]: nothing if the part is lost."""
    inside = roi.labeled((outcome.box.height, outcome.box.width)).inside
    if outcome.shift is None:
        return np.zeros_like(inside)
    return outcome.shift.back(inside.view(np.uint8), outcome.size, smooth=False) > 0


def score_results(results: Results, defective: Flags, *, top: int) -> "Scores":
    """Compute the metrics of some defective images, bool [N], against all good ones."""
    from edgeseg.evaluation.metrics import UNDEFINED, score_maps

    known = (defective | results.good) & results.judged
    scores = UNDEFINED
    if known.any():
        maps, inside = results.maps[known], results.inside[known]
        scores = score_maps(maps, results.truth[known], inside, top=top)
    # Labels by folder, and the score that decides the verdict.
    image_auroc = auroc(results.score[defective], results.score[results.good])
    return replace(scores, image_auroc=image_auroc)


def _scores(
    label: str, results: Results, defective: Flags, passed: Flags, card: GraphCard
) -> CategoryScores:
    return CategoryScores(
        label=label,
        images=int(defective.sum()),
        missed=int((defective & passed).sum()),
        scores=score_results(results, defective, top=card.training["top"]),
        undefined=_undefined(results, defective),
    )


def _undefined(results: Results, defective: Flags) -> dict[str, str]:
    """Return why metrics cannot be computed for some defective images: metric -> reason."""
    found = {}
    if not results.good.any() or not defective.any():
        kind = "defective" if results.good.any() else "good"
        found[IMAGE_METRIC] = f"no {kind} image"
    if not (defective & results.judged).any():
        found[PIXEL_METRICS] = "no defective image with a mask"
    elif not results.truth[defective].any():
        found[PIXEL_METRICS] = "no mask marks a pixel of the anomaly map"
    elif _no_good_pixel(results, (defective | results.good) & results.judged):
        found[PIXEL_METRICS] = "the masks leave no good pixel"
    return found


def _no_good_pixel(results: Results, known: Flags) -> bool:
    return bool(results.truth[known][results.inside[known]].all())


def _sheet(
    results: Results,
    root: Path,
    samples: Sequence[Sample],
    verdicts: Sequence[Verdict],
    card: GraphCard,
) -> Image:
    """Draw the defective images with the lowest scores, and the good ones with the highest."""

    def tile(place: int) -> SheetImage:
        path, box = samples[place].path, Box(*results.boxes[place].tolist())
        name = path.relative_to(root).as_posix()
        return SheetImage(
            path=path,
            title=f"{name}  {results.score[place]:.3f} {verdicts[place].name}",
            anomaly_map=results.maps[place][box.rows, box.columns],
            truth=results.truth[place][box.rows, box.columns] if results.judged[place] else None,
        )

    order = np.argsort(results.score, kind="stable")
    misses = order[~results.good[order]][:WORST]
    rejects = order[results.good[order]][::-1][:WORST]
    return draw_sheet(
        [tile(i) for i in misses], [tile(i) for i in rejects], card.threshold, card.bit_depth
    )
