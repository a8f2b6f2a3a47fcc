"""The frames of the accuracy gate: images with known ground truth.

Labeled test images come first. Where a data set has none, anomalies are drawn on good images as in
training: each image is used once unchanged and once with an anomaly. These show how far two graphs
agree on anomalous frames, not how well either finds real defects.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.data.frames import evenly
from edgeseg.data.images import Image, read_image, read_pixels, resize, resize_mask
from edgeseg.data.layouts import Dataset, Sample, open_dataset
from edgeseg.data.synth import Corruptor, trained_corruptor
from edgeseg.data.textures import FolderTextures, ProceduralTextures
from edgeseg.data.truth import check_masks
from edgeseg.errors import DataError
from edgeseg.evaluation.compare import Comparison, Outputs, compare_outputs
from edgeseg.evaluation.evaluate import Flags, Results, inside_boxes, read_truth, score_results
from edgeseg.files import shown
from edgeseg.frame.geometry import Size
from edgeseg.frame.locate import STILL, Shift, placed
from edgeseg.frame.roi import Roi
from edgeseg.log import log

if TYPE_CHECKING:
    from edgeseg.evaluation.metrics import Scores

ATTEMPTS = 100  # draws until an anomaly has a pixel; about one in three has none


@dataclass(frozen=True, kw_only=True)
class Cases:
    """N images and their ground truth, as in `evaluation.evaluate.Results`."""

    read: Sequence[Callable[[], Image]]
    """Each returns RGB uint8 [h, w, 3], read on demand: a data set may be large."""
    truth: Flags
    """[N, h, w]"""
    boxes: NDArray[np.intp]
    """[N, 4]"""
    good: Flags
    """[N]"""
    judged: Flags
    """[N], whether the ground truth of every pixel is known."""
    top: int
    """The number of map values that the image score of the model averages."""
    origin: str

    def __len__(self) -> int:
        return len(self.good)

    def subset(self, places: NDArray[np.intp]) -> "Cases":
        """Return some of the cases."""
        return dataclasses.replace(
            self,
            read=[self.read[place] for place in places],
            truth=self.truth[places],
            boxes=self.boxes[places],
            good=self.good[places],
            judged=self.judged[places],
        )

    def compare(self, before: Outputs, after: Outputs) -> Comparison:
        """Compare the outputs of two graphs for all cases, with the metrics of both."""
        return dataclasses.replace(
            compare_outputs(before, after), before=self._scores(before), after=self._scores(after)
        )

    def _scores(self, outputs: Outputs) -> "Scores":
        """Return the metrics of `edgeseg evaluate`; undefined where an output is not finite."""
        from edgeseg.evaluation.metrics import UNDEFINED

        if not outputs.finite:
            return UNDEFINED
        results = Results(
            maps=outputs.maps,
            truth=self.truth,
            boxes=self.boxes,
            score=outputs.scores.astype(np.float64),
            marked=np.count_nonzero(outputs.masks, axis=(1, 2)),
            good=self.good,
            judged=self.judged,
            inside=inside_boxes(self.boxes, outputs.maps.shape[1:], outputs.roi),
        )
        return score_results(results, ~self.good, top=self.top)


def open_cases(data: Path, card: GraphCard, most: int) -> Cases:
    """Return at most `most` cases for a graph from a data set, always the same.

    DataError for a folder of unknown layout, a corrupt image or mask, or without a good image.
    """
    dataset = open_dataset(data)
    if any(s.good for s in dataset.test) and not all(s.good for s in dataset.test):
        return _labeled(dataset, card, most)
    return _synthetic(dataset, card, most)


def spread(good: Flags, most: int) -> NDArray[np.intp]:
    """Choose at most `most` of N cases, evenly among the good and among the others, in order.

    good: bool [N]; both keep their share of the cases, and at least one.
    """
    if len(good) <= most:
        return np.arange(len(good))
    count = min(max(round(most * good.mean()), 1), most - 1)
    kinds = [(np.flatnonzero(good), count), (np.flatnonzero(~good), most - count)]
    return np.sort(np.concatenate([kind[evenly(len(kind), share)] for kind, share in kinds]))


def _labeled(dataset: Dataset, card: GraphCard, most: int) -> Cases:
    for line in check_masks(dataset):
        log.warning(line)
    places = spread(np.array([sample.good for sample in dataset.test]), most)
    samples = [dataset.test[place] for place in places]
    truth = np.zeros((len(samples), *card.map_size), np.bool_)
    boxes = np.zeros((len(samples), 4), np.intp)
    for place, sample in enumerate(samples):
        size, shift = _size_and_shift(sample, card)
        boxes[place] = card.content_of(size)
        if sample.mask is not None:
            found = read_truth(sample.mask, sample, size, card, shift)
            truth[place] = found & inside_boxes(boxes[place][None], card.map_size, card.roi)[0]
    good = np.array([sample.good for sample in samples])
    some = f"{len(samples)} of " if len(samples) < len(dataset.test) else ""
    masks = sum(sample.mask is not None for sample in samples)
    return Cases(
        read=[partial(_read, sample.path, card) for sample in samples],
        truth=truth,
        boxes=boxes,
        good=good,
        judged=good | np.array([sample.mask is not None for sample in samples]),
        top=card.training["top"],
        origin=f"{some}{len(dataset.test)} labeled images of {shown(dataset.root)}: {good.sum()} "
        f"good, {(~good).sum()} defective, {masks} with a mask",
    )


def _synthetic(dataset: Dataset, card: GraphCard, most: int) -> Cases:
    goods = [s for s in (*dataset.train, *dataset.test) if s.good]
    if not goods:
        raise DataError(
            f"no good images in {dataset.root}",
            remedy="put photos of good parts into good/",
            code="data/no-good-images",
        )
    chosen = [goods[place] for place in evenly(len(goods), max(most // 2, 1))]
    folder = card.training.get("textures")
    own = FolderTextures(Path(folder)) if folder and Path(folder).is_dir() else None
    textures = own or ProceduralTextures()
    images = (_read(sample.path, card) for sample in chosen)
    clean = [resize(im, *card.content_of((im.shape[0], im.shape[1])).size) for im in images]
    pairs = [
        _anomaly(image, seed, trained_corruptor(card.training, textures, inside=inside))
        for seed, (image, inside) in enumerate(zip(clean, _inside(clean, card.roi), strict=True))
    ]
    good = np.arange(2 * len(clean)) < len(clean)
    none = np.zeros((len(clean), *card.map_size), np.bool_)
    boxes = [card.content_of((image.shape[0], image.shape[1])) for image in clean]
    masks = [
        resize_mask(mask, card.map_size, box) for (_, mask), box in zip(pairs, boxes, strict=True)
    ]
    return Cases(
        read=[partial(np.copy, image) for image in (*clean, *(image for image, _ in pairs))],
        truth=np.concatenate([none, np.stack(masks)]),
        boxes=np.array([*boxes, *boxes], np.intp),
        good=good,
        judged=np.ones(len(good), np.bool_),
        top=card.training["top"],
        origin=f"{len(clean)} good images of {shown(dataset.root)}, with and without a drawn "
        "anomaly",
    )


def _read(path: Path, card: GraphCard) -> Image:
    """Read an image; the part is in its place."""
    return placed(read_image(path, card.bit_depth), card.roi)[0]


def _size_and_shift(sample: Sample, card: GraphCard) -> tuple[Size, Shift]:
    """Return the size of an image, and how far its part is from its place."""
    if card.roi is None or card.roi.locate is None:
        height, width = read_pixels(sample.path).shape[:2]
        return (height, width), STILL
    image = read_image(sample.path, card.bit_depth)
    return (image.shape[0], image.shape[1]), placed(image, card.roi)[1] or STILL


def _inside(images: Sequence[Image], roi: Roi | None) -> list[Flags | None]:
    """Return where each image is inspected; None: everywhere."""
    sizes = [(image.shape[0], image.shape[1]) for image in images]
    return [None if roi is None else roi.labeled(size).inside for size in sizes]


def _anomaly(image: Image, seed: int, corruptor: Corruptor) -> tuple[Image, Flags]:
    """Draw an anomaly of at least one pixel; a seed always gives the same one."""
    generator = np.random.default_rng(seed)
    for _ in range(ATTEMPTS):
        corrupted, mask = corruptor.corrupt(image, generator)
        if mask.any():
            return corrupted, mask
    raise AssertionError("no anomaly has a pixel")
