"""Regions of interest (ROIs): named areas of the picture that are inspected, and areas to ignore.

An area is a polygon with holes, in pixels of the picture; the corner of its top left pixel is at
(0, 0). A pixel of the picture, of a frame or of a map is inside if its center is, so the same areas
serve every resolution. Where areas of a name overlap, they add up; what is ignored is in no ROI.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from edgeseg.frame.geometry import Box, Size
from edgeseg.schema import bounded
from edgeseg.settings import LARGEST_SIDE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeseg.frame.raster import Labels

Corners = tuple[tuple[float, float], ...]
MOST_NAMES = 255  # they are labels of 8 bits


@dataclass(frozen=True, kw_only=True)
class Area:
    """An area: what an odd number of its rings surrounds, so a ring within another is a hole."""

    name: str = bounded(name=True)
    rings: tuple[Corners, ...]
    """Each at least three corners (x, y), in pixels of the picture."""


@dataclass(frozen=True, kw_only=True)
class Locate:
    """The template by which a part is found, so that its ROIs move with it; see locate.py."""

    template: str
    """PNG, gray, in base64: a small copy of the ROIs and what is around them."""
    place: tuple[float, float]
    """Where its upper left corner is in the small copy of the picture, x and y."""
    least: float = bounded(-1, 1)
    """Lowest correlation at which the part is found."""


@dataclass(frozen=True, kw_only=True)
class Roi:
    """The areas of one picture."""

    picture: Size = bounded(1, LARGEST_SIDE)
    """(height, width) of the picture that the areas were drawn on."""
    areas: tuple[Area, ...] = ()
    """None: the whole picture is inspected."""
    ignored: tuple[Area, ...] = ()
    locate: Locate | None = None
    """None: they lie still."""

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

    def labeled(self, size: Size, place: Box | None = None) -> "Labels":
        """Return labels and inside of a frame; those of the last places are kept."""
        from edgeseg.frame.raster import labeled

        return labeled(self, size, place)

    def inside(self, size: Size, place: Box | None = None) -> "NDArray[np.bool_]":
        """Return what is inspected of a frame or map of a size, bool [H, W].

        place: where it shows the picture; None: everywhere. What is outside is not inspected.
        """
        from edgeseg.frame.raster import inside

        return inside(self, size, place)

    def labels(self, size: Size, place: Box | None = None) -> "NDArray[np.uint8]":
        """Return the ROI of each pixel, uint8 [H, W]: k of names[k - 1], the first; 0: none."""
        from edgeseg.frame.raster import labels

        return labels(self, size, place)

    def outlines(self, place: Box) -> "list[tuple[str, NDArray[np.float64]]]":
        """Return each ring in a frame that shows the picture at a place: name, [n, 2] of x, y.

        The name of a ring of an ignored area is empty.
        """
        from edgeseg.frame.raster import outlines

        return outlines(self, place)

    @cached_property
    def kept(self) -> "dict[tuple[Size, Box | None], Labels]":
        """What `labeled` keeps."""
        return {}
