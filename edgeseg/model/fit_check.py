"""Fits the input check on good images: the reference of its distances, and its limits.

The teacher was not trained on these images, so all of them count, also those of the training. The
distances are measured by cross-fitting: each image against the reference of the other four fifths.

Each column is scaled by the good images: 0 is its median, 1 about one standard deviation towards
its 90 % quantile (and its 10 % quantile). A frame is as odd as its oddest column; so all columns
share one limit t on that scale, and the rate of good frames that become unknown is that of all of
them together. With n images:

    t = quantile + MARGIN * (quantile - median of the oddest columns)

Where wrong pictures lie far beyond t, it moves towards them, so that a part with a large defect
remains anomalous: wrong pictures are drawn from a few of the good ones (out of focus, moved, over-
and under-exposed by two stops, half a frame, half a part, a lens cap, a color cast), each as mild
as it gets, and of the gap below the first of them t takes GAP.

quantile: the conformal one (as for the thresholds) where n >= 1 / rate - 1. With fewer images no
value that was seen has such a rate, and the tail is extrapolated: above its 80 % quantile u the
oddest column is taken as exponential, with the mean excess e of the images above u:
u + e * log(0.2 / rate), and never less than the largest that was seen. The margin is for what all
photos have in common that were taken in one go; what is no picture of the part lies far beyond it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeseg.cards import InputLimit
from edgeseg.data.augment import relight, rotate
from edgeseg.data.frames import evenly
from edgeseg.data.images import Image, placed_matrices, read_image
from edgeseg.frame.geometry import Aspect, Size, fit
from edgeseg.frame.locate import placed
from edgeseg.frame.roi import Roi
from edgeseg.frame.tiles import Tiles
from edgeseg.log import log
from edgeseg.model.detector import Detector
from edgeseg.model.input_check import COLUMNS, SMALL, InputCheck
from edgeseg.model.tiles.tiling import Tiling
from edgeseg.progress import task

RATE = 0.005  # of good frames that may become unknown
MARGIN = 0.1
GAP = 0.6
DRAWN = 16  # good images from which wrong pictures are drawn
FIRST = 0.02  # share of them below the first
FOLDS = 5
FEWEST, MOST = 10, 1000  # good images: no check with fewer, a choice of more
FEWEST_TILED = 100  # of the choice where each image has many tiles
TAIL = 0.2  # share of the images whose excess is extrapolated
TWO_SIDED = 5  # the first columns; of a distance only the upper side counts
SMALLEST = (0.01, 0.02, 0.05, 0.01, 0.01, 0.05, 0.05)
"""By column: a deviation that is never odd, such as 1 % of the brightness."""
_NORMAL_90 = 1.2816  # standard deviations

Measures = NDArray[np.float64]


@dataclass(frozen=True)
class FittedCheck:
    """The limits of each column, and how they were found."""

    columns: tuple[InputLimit, ...]
    note: dict[str, Any]


def fit_input_check(
    detector: Detector,
    paths: Sequence[Path],
    network: Size,
    aspect: Aspect,
    bit_depth: int,
    *,
    rotation: str = "none",
    lighting: float = 0.0,
    rate: float = RATE,
    tiles: Tiles | None = None,
    roi: Roi | None = None,
) -> FittedCheck:
    """Give a detector an input check that is fitted on files of good images.

    network: its size; with tiles, which are checked together, that of a tile. rotation, lighting:
    those of the training, which good parts may have as well. roi: puts parts in their place. With
    fewer than FEWEST images the detector gets no check, and the result has no columns.
    """
    if len(paths) < FEWEST:
        log.warning(
            f"{len(paths)} good images are too few for the check of the input (expected at least "
            f"{FEWEST}): no frame becomes unknown by it"
        )
        return FittedCheck((), {"images": len(paths), "needed": FEWEST})
    device = detector.mean.device
    teacher = _features_of(detector, network, tiles)
    network = tiles.grid(network) if tiles else network
    check = InputCheck(detector.teacher.channels, network).to(device)
    random = np.random.default_rng(0)
    most = most_images(tiles.count if tiles else 1)
    chosen = [paths[place] for place in evenly(len(paths), most)]
    spoiled = set(evenly(len(chosen), DRAWN).tolist())
    good, wrong, groups = [], [], []
    with task("input check", len(chosen)) as bar:
        for number, path in enumerate(chosen):
            image, _ = placed(read_image(path, bit_depth), roi)
            for rgb in _views(image, network, aspect, rotation, lighting, random):
                good.append(_measured(teacher, check, rgb.to(device)))
                groups.append(number)
            if number in spoiled:
                for rgb in wrong_pictures(_resized(image, network, aspect)):
                    wrong.append(_measured(teacher, check, rgb.to(device)))
            bar.advance()
    fitted = fit_check(check, _joined(good), _joined(wrong), np.array(groups), rate)
    log.info(
        f"input check: {fitted.note['images']} good images, unknown rate {100 * rate:g} % "
        f"({fitted.note['method']}), finds {100 * fitted.note['found']:.0f} % of wrong pictures "
        "drawn from them (out of focus, moved, half covered, wrong exposure)"
    )
    detector.check = check
    return fitted


def most_images(tiles: int) -> int:
    """Return how many good images are looked at, where each has a number of tiles."""
    return max(MOST // tiles, min(MOST, FEWEST_TILED))


def _views(
    image: Image,
    network: Size,
    aspect: Aspect,
    rotation: str,
    lighting: float,
    random: np.random.Generator,
) -> Iterator[Tensor]:
    """Yield an image as the graph resizes it, as bytes, and as the training changes it.

    A frame of the network's size is not resized by the graph: its values are rounded, which
    a smooth surface shows.
    """
    resized = _resized(image, network, aspect)
    yield resized
    yield resized.round()
    if rotation != "none" or lighting > 0:
        changed = relight(rotate(image, rotation, random), lighting, random)
        yield _resized(changed, network, aspect)


def _resized(image: Image, network: Size, aspect: Aspect) -> Tensor:
    """Return uint8 [h, w, 3] as float32 [1, 3, H, W], as the fused graph does."""
    size = (image.shape[0], image.shape[1])
    matrices = placed_matrices(size, network, fit(size, network, aspect))
    rows, columns = (torch.tensor(matrix) for matrix in matrices)
    pixels = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)
    return (rows @ (pixels @ columns.T))[None]


def _features_of(
    detector: Detector, network: Size, tiles: Tiles | None
) -> Callable[[Tensor], list[Tensor]]:
    """Return what computes the teacher's features of an image, [1, 3, H, W] in 0..255."""

    def teacher(rgb: Tensor) -> list[Tensor]:
        levels: list[Tensor] = detector.teacher(detector.normalize(rgb))
        return levels

    if tiles is None:
        return teacher
    tiling = Tiling(tiles, network)
    return lambda rgb: tiling.features(rgb, teacher)


@torch.no_grad()
def _measured(
    teacher: Callable[[Tensor], list[Tensor]], check: InputCheck, rgb: Tensor
) -> tuple[Measures, ...]:
    return tuple(part.cpu().double().numpy() for part in check.measure(rgb, teacher(rgb)))


def _joined(parts: Sequence[tuple[Measures, ...]]) -> tuple[Measures, ...]:
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def wrong_pictures(rgb: Tensor) -> Iterator[Tensor]:
    """Draw wrong pictures from a good one, float32 [1, 3, H, W] in 0..255."""
    image = rgb[0].permute(1, 2, 0).numpy()
    height, width = image.shape[:2]
    side, mean = max(height, width), image.mean()
    long = max(side // 16, 3)
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    half, part = image.copy(), np.full_like(image, mean)
    half[height * 3 // 5 :] = 0
    part[:, width * 2 // 5 :] = image[:, : width - width * 2 // 5]
    for found in (
        cv2.GaussianBlur(image, (0, 0), 3 * side / 256),
        cv2.blur(image, (long, 1)),
        cv2.blur(image, (1, long)),
        image * 4,
        image / 4,
        half,
        part,
        image / (1 + np.exp((0.2 - across) / 0.03)),
        image * np.array([1.3, 1.0, 0.75], np.float32),
    ):
        yield torch.from_numpy(np.clip(found, 0, 255)).permute(2, 0, 1)[None].float()


def fit_check(
    check: InputCheck,
    good: tuple[Measures, ...],
    wrong: tuple[Measures, ...],
    of: NDArray[np.int_],
    rate: float = RATE,
) -> FittedCheck:
    """Fit the reference of a check and find its limits.

    good, wrong: the arrays of `InputCheck.measure` for both; of [n]: the image that each of the
    good ones is of, where there are several of one.
    """
    plain, *vectors = good
    values, others = [plain], [wrong[0]]
    pairs = zip((check.layout, check.features), vectors, wrong[1:], strict=True)
    for distance, ours, theirs in pairs:
        fitted = reference(ours)
        distance.mean.copy_(torch.from_numpy(fitted[0]))
        distance.whitening.copy_(torch.from_numpy(fitted[1]))
        values.append(cross_fitted(ours, of)[:, None])
        others.append(log_distance(theirs, fitted)[:, None])
    return FittedCheck(*find_limits(np.hstack(values), of, rate, np.hstack(others)))


def find_limits(
    values: Measures, of: NDArray[np.int_], rate: float, wrong: Measures | None = None
) -> tuple[tuple[InputLimit, ...], dict[str, Any]]:
    """Return the limits for the columns [n, K] of good images, and how they were found.

    of [n]: the image that each row is of; wrong [m, K]: the columns of wrong pictures.
    """
    middle = np.median(values, axis=0)
    low, high = (np.quantile(values, q, axis=0) for q in (0.1, 0.9))
    down = np.maximum((middle - low) / _NORMAL_90, SMALLEST)
    up = np.maximum((high - middle) / _NORMAL_90, SMALLEST)
    odd = _oddest(values, middle, down, up)
    oddest = np.array([odd[of == image].max() for image in np.unique(of)])
    quantile, method = tail_quantile(oddest, rate)
    t = quantile + MARGIN * (quantile - float(np.median(oddest)))
    note = {"rate": rate, "images": len(oddest), "method": method}
    if wrong is not None:
        wrong_odd = _oddest(wrong, middle, down, up)
        t = max(t, t + GAP * (float(np.quantile(wrong_odd, FIRST)) - t))
        note["found"] = round(float((wrong_odd > t).mean()), 4)
    limits = tuple(
        InputLimit(
            name=name,
            low=float(middle[k] - t * down[k]) if k < TWO_SIDED else None,
            high=float(middle[k] + t * up[k]),
        )
        for k, name in enumerate(COLUMNS)
    )
    return limits, {**note, "reach": round(t, 3)}


def _oddest(values: Measures, middle: Measures, down: Measures, up: Measures) -> Measures:
    """Return how odd the oddest column of each row [n, K] is, [n]."""
    apart = values - middle
    scaled = np.where(apart > 0, apart / up, -apart / down)
    scaled[:, TWO_SIDED:] = (apart / up)[:, TWO_SIDED:]
    found: Measures = scaled.max(axis=1)
    return found


def tail_quantile(oddest: Measures, rate: float) -> tuple[float, str]:
    """Return what a further good image exceeds with a probability of about `rate`, and how."""
    ordered = np.sort(oddest)
    above = math.floor((len(ordered) + 1) * rate + 1e-9)
    if above:
        return float(ordered[-above]), "conformal"
    start = float(np.quantile(ordered, 1 - TAIL))
    excess = ordered[ordered >= start] - start
    reach = start + float(excess.mean()) * math.log(TAIL / rate)
    return max(reach, float(ordered[-1])), "extrapolated"


def cross_fitted(vectors: Measures, groups: NDArray[np.int_]) -> Measures:
    """Return the log distance [n] of each vector [n, D] to those of the other folds."""
    distances = np.empty(len(vectors))
    folds = np.unique(groups, return_inverse=True)[1] % FOLDS
    for fold in range(FOLDS):
        inside = folds == fold
        distances[inside] = log_distance(vectors[inside], reference(vectors[~inside]))
    return distances


def log_distance(vectors: Measures, fitted: tuple[Measures, Measures]) -> Measures:
    """Return what `Distance` returns for vectors [n, D]."""
    white = (vectors - fitted[0]) @ fitted[1]
    found: Measures = np.log((white * white).mean(axis=1) + SMALL)
    return found


def reference(vectors: Measures) -> tuple[Measures, Measures]:
    """Return the mean [D] and the whitening matrix [D, D] of good images [n, D]."""
    mean = vectors.mean(axis=0)
    deviation = np.maximum(vectors.std(axis=0), 0.05 * vectors.std(axis=0).mean() + 1e-6)
    scaled = (vectors - mean) / deviation
    covariance = scaled.T @ scaled / len(scaled)
    shrunk = _shrinkage(scaled, covariance)
    level = float(np.trace(covariance)) / len(covariance)
    covariance = (1 - shrunk) * covariance + shrunk * level * np.eye(len(covariance))
    sizes, axes = np.linalg.eigh(covariance)
    whitening = (axes / np.sqrt(np.maximum(sizes, 1e-6))) @ axes.T
    return mean, whitening / deviation[:, None]


def _shrinkage(scaled: Measures, covariance: Measures) -> float:
    """Return Ledoit and Wolf's weight of the diagonal, 0 to 1."""
    n, d = scaled.shape
    level = np.trace(covariance) / d
    spread = ((covariance - level * np.eye(d)) ** 2).sum()
    squares = scaled**2
    error = float((squares.T @ squares / n - covariance**2).sum()) / n
    return min(max(error / spread, 0.01), 1.0) if spread > 0 else 1.0
