"""Finds the part in a picture by a template, and moves the picture so that its ROIs lie on it.

The template is a small gray copy of the ROIs and what is around them, in the picture that they were
drawn on. Where it fits best (normalized correlation with a small copy of the picture, refined by a
parabola), there is the part. It may be moved, not turned. A picture is moved by whole pixels, and
its edges are repeated. A part whose ROIs would leave the picture counts as not found.
"""

import base64
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError, ModelError
from edgeseg.files import shown
from edgeseg.frame.geometry import Size
from edgeseg.frame.roi import Locate, Roi
from edgeseg.text import listed

SIDE = 256  # longer side of the small copies, in pixels
LEVELS = 0xF8  # of a template: 32, so that the largest fits into a card
MARGIN = 0.1  # of the ROIs' box, around it
FEWEST_LEVELS = 3  # gray levels of a template; noise alone has two
LEAST = 0.3  # correlation that hardly anything has by chance
SLACK = 0.1  # below the lowest correlation of a training image
NAMED = 5  # images in a message

A = TypeVar("A", bound=np.generic)
Pixels8 = NDArray[np.uint8]


class Shift(NamedTuple):
    """How far the part is from its place in the reference picture, in pixels of the picture."""

    x: int
    y: int
    score: float = 1.0
    """Correlation of the template, at most 1."""

    def back(self, array: NDArray[A], size: Size, *, smooth: bool) -> NDArray[A]:
        """Move [h, w] of a moved picture to where it is in the picture itself, of a size.

        smooth: values in between are interpolated; else the nearest are taken.
        """
        if not (self.x or self.y):
            return array
        across, down = array.shape[1] / size[1], array.shape[0] / size[0]
        matrix = np.array([[1, 0, self.x * across], [0, 1, self.y * down]])
        how = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
        given: Any = array
        return np.asarray(cv2.warpAffine(given, matrix, array.shape[::-1], flags=how), array.dtype)


STILL = Shift(0, 0)


def placed(image: NDArray[A], roi: Roi | None) -> tuple[NDArray[A], Shift | None]:
    """Return a picture with the part in its place, and the shift; None: the part is not found.

    Without a template every part is in its place.
    """
    if roi is None or roi.locate is None:
        return image, STILL
    shift = find(np.asarray(image, np.uint8), roi, roi.locate)
    return (image if shift is None else moved(image, shift)), shift


def find(image: Pixels8, roi: Roi, locate: Locate) -> Shift | None:
    """Return where the part is in a picture, uint8 [H, W(, C)]; None if it is not found."""
    template = _template(locate.template)
    height, width = template.shape
    # The ROIs stay in the picture, the template may leave it by its margin.
    down, across = (int(side * MARGIN) + 2 for side in (height, width))
    small = small_copy(image, roi.picture)
    padded = cv2.copyMakeBorder(small, down, down, across, across, cv2.BORDER_REPLICATE)
    scores = np.asarray(cv2.matchTemplate(padded, template, cv2.TM_CCOEFF_NORMED), np.float64)
    scores = np.where(np.isfinite(scores), scores, -1.0)  # where all pixels are equal
    row, column = divmod(int(scores.argmax()), scores.shape[1])
    at_border = not (0 < row < scores.shape[0] - 1 and 0 < column < scores.shape[1] - 1)
    if at_border or scores[row, column] < locate.least:
        return None
    x = column + _top(scores[row, column - 1 : column + 2]) - locate.place[0] - across
    y = row + _top(scores[row - 1 : row + 2, column]) - locate.place[1] - down
    scale = image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]
    shift = Shift(round(x * scale[0]), round(y * scale[1]), float(scores[row, column]))
    return shift if _stays_inside(shift, roi, (image.shape[0], image.shape[1])) else None


def moved(image: NDArray[A], shift: Shift) -> NDArray[A]:
    """Return a picture [H, W(, C)] with the part in its place, the edges repeated."""
    if not (shift.x or shift.y):
        return image
    (x, y, _), (height, width) = shift, image.shape[:2]
    kept: Any = image[max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)]
    if image.dtype == np.bool_:
        kept = kept.view(np.uint8)
    around = max(-y, 0), max(y, 0), max(-x, 0), max(x, 0)
    return np.asarray(cv2.copyMakeBorder(kept, *around, cv2.BORDER_REPLICATE)).astype(image.dtype)


def with_template(roi: Roi, reference: Pixels8) -> Roi:
    """Return ROIs that move with the part, by the picture that they were drawn on.

    DataError (`data/flat-part`) for a picture that shows nothing there.
    """
    small = small_copy(reference, roi.picture)
    scale = small.shape[1] / roi.picture[1], small.shape[0] / roi.picture[0]
    left, top, right, bottom = _box(roi)
    across, down = MARGIN * (right - left), MARGIN * (bottom - top)
    columns = int(max(left - across, 0) * scale[0]), int(np.ceil((right + across) * scale[0]))
    rows = int(max(top - down, 0) * scale[1]), int(np.ceil((bottom + down) * scale[1]))
    template = small[rows[0] : rows[1], columns[0] : columns[1]] & LEVELS
    if len(np.unique(template)) < FEWEST_LEVELS:
        raise DataError(
            "the ROIs show nothing by which the part is found: they and what is around them are "
            "of one gray in the picture of --locate",
            remedy="--locate PICTURE: the photo that the ROIs were drawn on; or larger ROIs",
            code="data/flat-part",
        )
    data = cv2.imencode(".png", template)[1].tobytes()
    place = float(columns[0]), float(rows[0])
    text = base64.b64encode(data).decode()
    return replace(roi, locate=Locate(template=text, place=place, least=LEAST))


class Places:
    """Puts the parts of training images in their places, and learns how well they fit."""

    def __init__(self, roi: Roi | None, *, new: bool) -> None:
        """new: the lowest correlation that counts is not known yet."""
        self._roi, self._new = roi, new
        self._scores: list[float] = []
        self._lost: list[Path] = []

    def put(self, image: NDArray[A], path: Path) -> NDArray[A]:
        """Return a training image with the part in its place."""
        found, shift = placed(image, self._roi)
        if shift is None:
            self._lost.append(path)
        else:
            self._scores.append(shift.score)
        return found

    def roi(self) -> Roi | None:
        """Return the ROIs with the lowest correlation that counts, after the last image.

        DataError (`data/part-not-found`) for images in which the part was not found.
        """
        if self._lost:
            raise DataError(
                f"the part was not found in {len(self._lost)} images: "
                f"{listed([shown(path.name) for path in self._lost], NAMED)}",
                remedy="images that show the part as --locate PICTURE does, not turned; or omit "
                "--locate",
                code="data/part-not-found",
            )
        if self._roi is None or self._roi.locate is None or not self._new:
            return self._roi
        least = max(min(self._scores, default=LEAST) - SLACK, LEAST)
        return replace(self._roi, locate=replace(self._roi.locate, least=least))


def small_copy(image: Pixels8, picture: Size) -> Pixels8:
    """Return the green of a picture, at the scale of the templates of pictures of a size."""
    height, width = picture
    scale = min(SIDE / max(height, width), 1.0)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    green = image[:, :, min(1, image.shape[2] - 1)] if image.ndim == 3 else image
    step = max(min(green.shape[0] // size[1], green.shape[1] // size[0]) // 2, 1)
    few = np.ascontiguousarray(green[::step, ::step])
    return np.asarray(cv2.resize(few, size, interpolation=cv2.INTER_AREA), np.uint8)


@lru_cache(maxsize=4)
def _template(text: str) -> Pixels8:
    try:
        data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
        found = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    except (ValueError, cv2.error):
        found = None
    if found is None or max(found.shape) > SIDE:
        raise ModelError(
            "the template of --locate in a card is damaged",
            remedy="train again with --locate PICTURE",
            code="model/damaged-card",
        )
    return np.asarray(found, np.uint8)


def _box(roi: Roi) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the ROIs, in pixels of the picture."""
    inside = roi.labeled(roi.picture).inside
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _stays_inside(shift: Shift, roi: Roi, size: Size) -> bool:
    """Whether the moved ROIs are in a picture of a size, but for a pixel."""
    left, top, right, bottom = _box(roi)
    across, down = size[1] / roi.picture[1], size[0] / roi.picture[0]
    return (
        left * across + shift.x >= -1
        and top * down + shift.y >= -1
        and right * across + shift.x <= size[1] + 1
        and bottom * down + shift.y <= size[0] + 1
    )


def _top(scores: NDArray[np.float64]) -> float:
    """Return how far the top of the parabola through three scores is from the middle one."""
    before, here, after = scores.tolist()
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0
