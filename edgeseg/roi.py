"""Regions of interest (ROIs): named areas of the picture that are inspected, and areas to ignore.

An area is a polygon with holes, in pixels of the picture; the corner of its top left pixel is at
(0, 0). A pixel of the picture, of a frame or of a map is inside if its center is, so the same areas
serve every resolution. Where areas of a name overlap, they add up; what is ignored is in no ROI.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeseg.geometry import Box, Size
from edgeseg.schema import bounded
from edgeseg.settings import LARGEST_SIDE

Corners = tuple[tuple[float, float], ...]
MOST_NAMES = 255  # they are labels of 8 bits
KEPT = 4  # sizes whose labels are kept


@dataclass(frozen=True, kw_only=True)
class Area:
    """An area: what an odd number of its rings surrounds, so a ring within another is a hole."""

    name: str = bounded(name=True)
    rings: tuple[Corners, ...]
    """Each at least three corners (x, y), in pixels of the picture."""


class Labels(NamedTuple):
    """The ROI of each pixel of a frame."""

    names: tuple[str, ...]
    pixels: NDArray[np.uint8]
    """[H, W]: k of names[k - 1]; 0: none."""
    inside: NDArray[np.bool_]
    """[H, W], what is inspected; of a picture with nothing but ignored areas all else."""


@dataclass(frozen=True, kw_only=True)
class Roi:
    """The areas of one picture."""

    picture: Size = bounded(1, LARGEST_SIDE)
    """(height, width) of the picture that the areas were drawn on."""
    areas: tuple[Area, ...] = ()
    """None: the whole picture is inspected."""
    ignored: tuple[Area, ...] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the ROIs, each once."""
        return tuple(dict.fromkeys(area.name for area in self.areas))

    @cached_property
    def digest(self) -> str:
        """A hash of the areas and the size of the picture."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]

    def fits(self, size: Size) -> bool:
        """Whether a picture of a size has the shape of the one that the areas were drawn on."""
        (height, width), (rows, columns) = self.picture, size
        return abs(height * columns - width * rows) <= max(height, width, rows, columns)

    def labeled(self, size: Size, place: Box | None = None) -> Labels:
        """Return labels and inside of a frame; those of the last places are kept."""
        if (size, place) not in self._kept:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            labels = Labels(self.names, self.labels(size, place), self.inside(size, place))
            self._kept[size, place] = labels
        return self._kept[size, place]

    @cached_property
    def _kept(self) -> dict[tuple[Size, Box | None], Labels]:
        return {}

    def inside(self, size: Size, place: Box | None = None) -> NDArray[np.bool_]:
        """Return what is inspected of a frame or map of a size, bool [H, W].

        place: where it shows the picture; None: everywhere. What is outside is not inspected.
        """
        box = place or Box(0, 0, *size)
        found = np.zeros(size, np.bool_)
        found[box.rows, box.columns] = self._inspected(box.size)
        return found

    def labels(self, size: Size, place: Box | None = None) -> NDArray[np.uint8]:
        """Return the ROI of each pixel, uint8 [H, W]: k of names[k - 1], the first; 0: none."""
        box = place or Box(0, 0, *size)
        found = np.zeros(size, np.uint8)
        inside = found[box.rows, box.columns]
        inspected = self._inspected(box.size)
        for number in range(len(self.names), 0, -1):
            areas = [area for area in self.areas if area.name == self.names[number - 1]]
            inside[self._filled(areas, box.size) & inspected] = number
        return found

    def outlines(self, place: Box) -> list[tuple[str, NDArray[np.float64]]]:
        """Return each ring in a frame that shows the picture at a place: name, [n, 2] of x, y.

        The name of a ring of an ignored area is empty.
        """
        named = [(area.name, ring) for area in self.areas for ring in area.rings]
        named += [("", ring) for area in self.ignored for ring in area.rings]
        scale = place.width / self.picture[1], place.height / self.picture[0]
        corner = place.left, place.top
        return [(name, np.array(ring) * scale + corner) for name, ring in named]

    def _inspected(self, size: Size) -> NDArray[np.bool_]:
        found = self._filled(self.areas, size) if self.areas else np.ones(size, np.bool_)
        return found & ~self._filled(self.ignored, size) if self.ignored else found

    def _filled(self, areas: Iterable[Area], size: Size) -> NDArray[np.bool_]:
        scale = size[1] / self.picture[1], size[0] / self.picture[0]
        found = np.zeros(size, np.bool_)
        for area in areas:
            found |= filled([np.array(ring) * scale for ring in area.rings], size)
        return found


def filled(rings: Sequence[NDArray[np.float64]], size: Size) -> NDArray[np.bool_]:
    """Return which centers of pixels an odd number of rings surrounds, bool [H, W].

    rings: [n, 2] each, x and y of corners, in pixels.
    """
    height, width = size
    turns = np.zeros((height, width + 1), np.bool_)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            # Rows whose centers are between the ends of this side, the lower end included.
            low, high = sorted((y0, y1))
            first, last = (int(np.clip(np.ceil(y - 0.5), 0, height)) for y in (low, high))
            if first == last:
                continue
            rows = np.arange(first, last)
            across = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
            turns[rows, np.clip(np.ceil(across - 0.5), 0, width).astype(np.intp)] ^= True
    return np.asarray(np.logical_xor.accumulate(turns, axis=1)[:, :width])
