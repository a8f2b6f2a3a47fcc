"""The score of a trial, and whether one is better than another by more than chance.

    score = (2 x image AUROC + pixel AP) / 3, each the mean over the groups of defects

The verdict counts twice as much as the mask. Image AUROC is of a group's images and the good parts;
pixel AP is the mean over the images of a group, each against its own good pixels and a sample of
those of the good parts, all maps at the same size, so that resolutions compare. Real defects
without masks have an image AUROC only, which then counts for both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.data.damaged import DamagedImages, refuse_damaged
from edgeseg.data.images import resize_float, resize_mask
from edgeseg.evaluation.run_images import run_images
from edgeseg.frame.geometry import Box, fit
from edgeseg.runtime.base import Backend
from edgeseg.tuning.judge import JudgingImage

SIDE = 128  # of maps and masks, px
POOL = 4  # times the pixels of a map: those of good parts in each pixel AP
GOOD = "good"

PerDefect = NDArray[np.float64]


@dataclass(frozen=True)
class TrialScores:
    """What a trained recipe said of the judging images; the order is theirs."""

    good: tuple[float, ...]
    """Image scores of the good parts."""
    bad: tuple[float, ...]
    """Image scores of the defects."""
    groups: tuple[str, ...]
    """Of each defect."""
    aps: tuple[float | None, ...]
    """Pixel AP of each defect; None without a mask."""

    @property
    def image_auroc(self) -> float:
        """Mean over the groups."""
        return self._over_groups(self._comparisons().mean(axis=1))

    @property
    def pixel_ap(self) -> float:
        """Mean over the groups that have masks; NaN without any."""
        known = np.array([math.nan if ap is None else ap for ap in self.aps])
        means = [known[self._of(group)] for group in dict.fromkeys(self.groups)]
        return float(np.mean([m.mean() for m in means if not np.isnan(m).any()] or [math.nan]))

    @property
    def score(self) -> float:
        """0 to 1, 1 is best."""
        return self._over_groups(self._rows())

    def gain_over(self, other: "TrialScores") -> tuple[float, float]:
        """Return how much higher this score is, and the standard error of the difference.

        Both judge the same images, so what makes an image hard cancels out. The error is that of
        the images: of the defects within their groups, and of the good parts. Another seed of the
        training would change both scores as well, which it does not contain.
        """
        rows = self._rows() - other._rows()
        columns = (self._comparisons() - other._comparisons()).mean(axis=0)
        groups = list(dict.fromkeys(self.groups))
        variance = sum(_variance(rows[self._of(group)]) for group in groups) / len(groups) ** 2
        variance += (2 / 3) ** 2 * _variance(columns)
        return self._over_groups(rows), math.sqrt(variance)

    def _rows(self) -> PerDefect:
        ranks = self._comparisons().mean(axis=1)
        aps = [r if ap is None else ap for r, ap in zip(ranks, self.aps, strict=True)]
        return np.asarray((2 * ranks + np.array(aps)) / 3)

    def _comparisons(self) -> PerDefect:
        """Return 1 where a defect scores higher than a good part, [defects, good parts]."""
        bad, good = np.array(self.bad)[:, None], np.array(self.good)[None, :]
        return np.asarray((bad > good) + 0.5 * (bad == good), np.float64)

    def _over_groups(self, rows: PerDefect) -> float:
        return float(
            np.mean([rows[self._of(group)].mean() for group in dict.fromkeys(self.groups)])
        )

    def _of(self, group: str) -> NDArray[np.bool_]:
        return np.array([each == group for each in self.groups])


def judge_model(backend: Backend, images: Sequence[JudgingImage]) -> TrialScores:
    """Run the judging images through a model; DataError for a damaged one."""
    damaged = DamagedImages()
    maps: list[NDArray[np.float32]] = []
    scores: list[float] = []
    for outcome in run_images(
        backend, [each.path for each in images], title="judge", damaged=damaged
    ):
        height, width = fit(outcome.size, (SIDE, SIDE), "keep").size
        maps.append(resize_float(outcome.anomaly_map, height, width))
        scores.append(outcome.score)
    refuse_damaged(damaged.found)
    good = [place for place, each in enumerate(images) if each.group == GOOD]
    pool = np.concatenate([maps[place].ravel() for place in good])
    pool = np.random.default_rng(0).choice(pool, min(POOL * SIDE * SIDE, pool.size), replace=False)
    defects = [place for place, each in enumerate(images) if each.group != GOOD]
    return TrialScores(
        good=tuple(scores[place] for place in good),
        bad=tuple(scores[place] for place in defects),
        groups=tuple(images[place].group for place in defects),
        aps=tuple(_pixel_ap(maps[place], images[place], pool) for place in defects),
    )


def _pixel_ap(
    found: NDArray[np.float32], image: JudgingImage, pool: NDArray[np.float32]
) -> float | None:
    mask = image.mask_of()
    if mask is None or not mask.any():
        return None
    truth = resize_mask(mask, found.shape, Box(0, 0, *found.shape))
    if not truth.any():  # thinner than a pixel of this size: the one that has most of it
        cover = resize_float(mask.astype(np.float32), *found.shape)
        truth = cover >= cover.max()
    return average_precision(found[truth], np.concatenate([found[~truth], pool]))


def average_precision(positives: NDArray[Any], negatives: NDArray[Any]) -> float:
    """Return the mean over the positives of the precision at their value."""
    values, counts = np.unique(positives, return_counts=True)
    above = np.cumsum(counts[::-1])[::-1]
    false = len(negatives) - np.searchsorted(np.sort(negatives), values, "left")
    return float((counts * above / (above + false)).sum() / len(positives))


def _variance(values: PerDefect) -> float:
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.0
