"""Areas of a picture as pixels of frames and maps; roi.py has the areas, and loads no NumPy."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeseg.frame.geometry import Box, Size
from edgeseg.frame.roi import Area, Roi

KEPT = 4  # sizes whose labels are kept
AT_ONCE = 1 << 18  # crossings of sides and rows that are computed at once


class Labels(NamedTuple):
    """The ROI of each pixel of a frame."""

    names: tuple[str, ...]
    pixels: NDArray[np.uint8]
    """[H, W]: k of names[k - 1]; 0: none."""
    inside: NDArray[np.bool_]
    """[H, W], what is inspected; of a picture with nothing but ignored areas all else."""


def labeled(roi: Roi, size: Size, place: Box | None = None) -> Labels:
    """See `Roi.labeled`."""
    if (size, place) not in roi.kept:
        if len(roi.kept) >= KEPT:
            roi.kept.clear()
        roi.kept[size, place] = Labels(
            roi.names, labels(roi, size, place), inside(roi, size, place)
        )
    return roi.kept[size, place]


def inside(roi: Roi, size: Size, place: Box | None = None) -> NDArray[np.bool_]:
    """See `Roi.inside`."""
    box = place or Box(0, 0, *size)
    found = np.zeros(size, np.bool_)
    found[box.rows, box.columns] = _inspected(roi, box.size)
    return found


def labels(roi: Roi, size: Size, place: Box | None = None) -> NDArray[np.uint8]:
    """See `Roi.labels`."""
    box = place or Box(0, 0, *size)
    found = np.zeros(size, np.uint8)
    part = found[box.rows, box.columns]
    inspected = _inspected(roi, box.size)
    for number in range(len(roi.names), 0, -1):
        areas = [area for area in roi.areas if area.name == roi.names[number - 1]]
        part[_filled(roi, areas, box.size) & inspected] = number
    return found


def outlines(roi: Roi, place: Box) -> list[tuple[str, NDArray[np.float64]]]:
    """See `Roi.outlines`."""
    named = [(area.name, ring) for area in roi.areas for ring in area.rings]
    named += [("", ring) for area in roi.ignored for ring in area.rings]
    scale = place.width / roi.picture[1], place.height / roi.picture[0]
    corner = place.left, place.top
    return [(name, np.array(ring) * scale + corner) for name, ring in named]


def _inspected(roi: Roi, size: Size) -> NDArray[np.bool_]:
    found = _filled(roi, roi.areas, size) if roi.areas else np.ones(size, np.bool_)
    return found & ~_filled(roi, roi.ignored, size) if roi.ignored else found


def _filled(roi: Roi, areas: Iterable[Area], size: Size) -> NDArray[np.bool_]:
    scale = size[1] / roi.picture[1], size[0] / roi.picture[0]
    found = np.zeros(size, np.bool_)
    for area in areas:
        found |= filled([np.array(ring) * scale for ring in area.rings], size)
    return found


def filled(rings: Sequence[NDArray[np.float64]], size: Size) -> NDArray[np.bool_]:
    """Return which centers of pixels an odd number of rings surrounds, bool [H, W].

    rings: [n, 2] each, x and y of corners, in pixels.
    """
    return (windings(rings, size) & 1).astype(np.bool_)


def windings(rings: Sequence[NDArray[np.float64]], size: Size) -> NDArray[np.int32]:
    """Return how often rings turn around each center of a pixel, [H, W]; one direction is negative.

    rings: as of `filled`.
    """
    height, width = size
    turns = np.zeros((height, width + 1), np.int32)
    begins = np.concatenate([ring.reshape(-1, 2) for ring in rings])
    ends = np.concatenate([np.roll(ring.reshape(-1, 2), -1, axis=0) for ring in rings])
    # Rows whose centers are between the ends of each side, the lower end included.
    low, high = np.minimum(begins[:, 1], ends[:, 1]), np.maximum(begins[:, 1], ends[:, 1])
    first, last = (np.clip(np.ceil(y - 0.5), 0, height).astype(np.intp) for y in (low, high))
    counts = last - first
    sides = np.flatnonzero(counts)
    done = counts[sides].cumsum()
    cuts = np.searchsorted(done, np.arange(AT_ONCE, done[-1], AT_ONCE)) if len(sides) else ()
    for some in np.split(sides, cuts):
        each = np.repeat(some, counts[some])
        starts = counts[some].cumsum() - counts[some]
        rows = np.arange(len(each)) + np.repeat(first[some] - starts, counts[some])
        (x0, y0), (x1, y1) = begins[each].T, ends[each].T
        across = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
        columns = np.clip(np.ceil(across - 0.5), 0, width).astype(np.intp)
        np.add.at(turns, (rows, columns), np.where(y1 > y0, 1, -1).astype(np.int32))
    return turns.cumsum(axis=1, dtype=np.int32)[:, :width]
