"""The frames of the accuracy gate: pictures of which it is known where they are defective.

Labelled test images come first. Where a data set has none, anomalies are drawn on good images as in
training, each image once as it is and once with an anomaly: they say how far two graphs agree on
something anomalous, not how well either finds real defects.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.data.frames import evenly
from edgeseg.data.images import Image, read_image, resize
from edgeseg.data.layouts import Dataset, open_dataset
from edgeseg.data.synth import Corruptor, trained_corruptor
from edgeseg.data.textures import FolderTextures, ProceduralTextures
from edgeseg.errors import DataError
from edgeseg.evaluation.evaluate import read_truth

ATTEMPTS = 100  # draws until an anomaly has a pixel; one of three or so has none

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Cases:
    """N pictures and what is true of them, as `evaluation.evaluate.Results` has it."""

    read: Sequence[Callable[[], Image]]
    """Each returns RGB uint8 [h, w, 3]; read when it is needed, a data set may be large."""
    truth: Flags
    """[N, S, S]"""
    good: Flags
    """[N]"""
    judged: Flags
    """[N], whether the truth of every pixel is known."""
    origin: str

    def __len__(self) -> int:
        return len(self.good)

    def part(self, places: NDArray[np.intp]) -> "Cases":
        """Return some of the cases."""
        read = [self.read[place] for place in places]
        return Cases(read, self.truth[places], self.good[places], self.judged[places], self.origin)


def open_cases(data: Path, card: GraphCard, most: int) -> Cases:
    """Return at most `most` cases for a graph from a data set, the same ones every time.

    DataError for a folder that fits no layout, a damaged image or mask, no good image.
    """
    dataset = open_dataset(data)
    if any(s.good for s in dataset.test) and not all(s.good for s in dataset.test):
        return _labelled(dataset, card, most)
    return _synthetic(dataset, card, most)


def spread(good: Flags, most: int) -> NDArray[np.intp]:
    """Choose at most `most` of N cases, evenly from the good and from the others, in order.

    good: bool [N]; both keep their share of the cases, and at least one.
    """
    if len(good) <= most:
        return np.arange(len(good))
    count = min(max(round(most * good.mean()), 1), most - 1)
    parts = [np.flatnonzero(good), np.flatnonzero(~good)]
    shares = zip(parts, (count, most - count), strict=True)
    return np.sort(np.concatenate([part[evenly(len(part), share)] for part, share in shares]))


def _labelled(dataset: Dataset, card: GraphCard, most: int) -> Cases:
    places = spread(np.array([sample.good for sample in dataset.test]), most)
    samples = [dataset.test[place] for place in places]
    side = card.image_size
    truth = np.zeros((len(samples), side, side), np.bool_)
    for place, sample in enumerate(samples):
        if sample.mask is not None:
            size = read_image(sample.path).shape[:2]
            truth[place] = read_truth(sample.mask, sample, (size[0], size[1]), side)
    good = np.array([sample.good for sample in samples])
    drawn = np.array([sample.mask is not None for sample in samples])
    some = f"{len(samples)} of " if len(samples) < len(dataset.test) else ""
    return Cases(
        read=[partial(read_image, sample.path) for sample in samples],
        truth=truth,
        good=good,
        judged=good | drawn,
        origin=f"{some}{len(dataset.test)} labelled images of {dataset.root}",
    )


def _synthetic(dataset: Dataset, card: GraphCard, most: int) -> Cases:
    goods = [s for s in (*dataset.train, *dataset.test) if s.good]
    if not goods:
        raise DataError(
            f"{dataset.root} holds no good image.", remedy="put photos of good parts into good/"
        )
    chosen = [goods[place] for place in evenly(len(goods), max(most // 2, 1))]
    folder = card.training.get("textures")
    own = FolderTextures(Path(folder)) if folder and Path(folder).is_dir() else None
    corruptor = trained_corruptor(card.training, own or ProceduralTextures())
    side = card.image_size
    clean = [resize(read_image(sample.path), side, side) for sample in chosen]
    pairs = [_anomaly(image, seed, corruptor) for seed, image in enumerate(clean)]
    good = np.arange(2 * len(clean)) < len(clean)
    none = np.zeros((len(clean), side, side), np.bool_)
    return Cases(
        read=[partial(np.copy, image) for image in (*clean, *(image for image, _ in pairs))],
        truth=np.concatenate([none, np.stack([mask for _, mask in pairs])]),
        good=good,
        judged=np.ones(len(good), np.bool_),
        origin=f"{len(clean)} good images of {dataset.root}, without and with a drawn anomaly",
    )


def _anomaly(image: Image, seed: int, corruptor: Corruptor) -> tuple[Image, Flags]:
    """Draw an anomaly of at least one pixel: a seed gives the same one again."""
    generator = np.random.default_rng(seed)
    for _ in range(ATTEMPTS):
        corrupted, mask = corruptor.corrupt(image, generator)
        if mask.any():
            return corrupted, mask
    raise AssertionError("the noise never rises")
