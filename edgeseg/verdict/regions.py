"""Defects as results: the connected regions of a mask, with what an engineer measures of them.

A whole frame is labeled in 3 to 20 ms at 1920 x 1080; the outlines of its regions are found in 0.3.
So boxes and areas come from the outlines, and all else from the pixels inside of each box.

    area in an outline      A + n / 2 + 1     A: of the polygon through the centers of its pixels,
    area of a hole in it    A - n / 2 + 1     n: steps from each to the next

The outline of a hole runs through pixels of the region.

Source: Pick, Geometrisches zur Zahlenlehre, 1899.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import cos, hypot, isfinite, radians, sin
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.frame.geometry import Size
from edgeseg.frame.raster import Labels
from edgeseg.frame.roi import Roi
from edgeseg.verdict.rule import Rule

MOST = 200
"""Regions that are described, the largest; all are counted."""
DIGITS = {"centroid": 2, "peak": 6, "mean": 6, "angle": 1}
"""Decimals in JSON; 3 for others. Whole numbers are exact."""


class Region(NamedTuple):
    """One connected group of anomalous pixels; in pixels of the mask where no unit is named."""

    box: tuple[int, int, int, int]
    """Bounding box: left, top, width, height."""
    area: int
    """Number of pixels, without holes."""
    length: float
    """Of the smallest rotated box around the region; the longer side."""
    width: float
    """Of the same box; the shorter side. A scratch of one pixel has a width of 1."""
    angle: float
    """Of the long side, in degrees: 0 along x, 90 along y, 45 from the top left down; below 180."""
    centroid: tuple[float, float]
    """(x, y); the center of the top left pixel is (0, 0)."""
    peak: float
    """Highest value of the anomaly map."""
    mean: float
    """Mean of the anomaly map."""
    pixel: tuple[int, int]
    """(x, y) of one of its pixels; the centroid may be outside of it."""
    roi: str = ""
    """Name of the region of interest that has most of it."""
    area_mm2: float | None = None
    """None: the size of a pixel is not known (--mm-per-px)."""
    length_mm: float | None = None
    width_mm: float | None = None

    def moved(self, x: int, y: int) -> "Region":
        """Return the region at another place."""
        left, top, width, height = self.box
        return self._replace(
            box=(left + x, top + y, width, height),
            centroid=(self.centroid[0] + x, self.centroid[1] + y),
            pixel=(self.pixel[0] + x, self.pixel[1] + y),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are known, rounded; None: NaN or infinity, which JSON lacks."""
        found: dict[str, Any] = {}
        values: tuple[Any, ...] = self
        for name, value in zip(self._fields, values, strict=True):
            if value is None or value == "" or name == "pixel":
                continue
            digits = DIGITS.get(name, 3)
            if isinstance(value, float):
                value = round(value, digits) if isfinite(value) else None
            elif isinstance(value, tuple):
                value = [round(number, digits) for number in value]
            found[name] = value
        return found


@dataclass(frozen=True)
class Regions:
    """The regions of a mask that count, by a rule."""

    largest: tuple[Region, ...] = ()
    """At most MOST of them, the largest first."""
    count: int = 0
    area: float = 0.0
    """Of all, in pixels of the picture."""
    per_roi: Mapping[str, int] = field(default_factory=dict)
    """How many of them each of several ROIs has."""
    finite: bool = True
    """Whether the anomaly map holds no NaN and no infinity."""

    @property
    def most(self) -> int:
        """The count of the ROI that has most; without ROIs that of the frame."""
        return max(self.per_roi.values(), default=self.count)


NONE = Regions()


class Outlines(NamedTuple):
    """The regions of a mask, N of them, before they are measured."""

    points: Sequence[NDArray[np.int32]]
    """The corners of the outline of each, [n, 1, 2]: x, y of pixels."""
    low: NDArray[np.int64]
    """[N, 2], left and top of the boxes."""
    high: NDArray[np.int64]
    """[N, 2], their last column and row."""
    area: NDArray[np.int64]
    """[N]"""


def find_regions(
    mask: NDArray[np.uint8],
    anomaly_map: NDArray[np.float32],
    rule: Rule,
    scale: tuple[float, float] = (1.0, 1.0),
    rois: Labels | None = None,
    *,
    most: int = MOST,
) -> Regions:
    """Return the regions that count; they are 8-connected.

    mask: uint8 [H, W], 0 or 255; anomaly_map: float32 [h, w] of the same picture; scale: of the
    rule, pixels of the picture per pixel of the mask (x, y); rois: of the mask's pixels; most:
    regions to describe.
    """
    low, high = float(anomaly_map.min()), float(anomaly_map.max())
    finite = bool(np.isfinite(low) and np.isfinite(high))
    if is_empty(mask):
        return NONE if finite else Regions(finite=False)
    outlines = _outlines(mask)
    pixel = scale[0] * scale[1]
    counts = outlines.area * pixel >= rule.min_area
    places = np.flatnonzero(counts)
    places = places[np.argsort(-outlines.area[places], kind="stable")]
    names = rois.names if rois else ()
    if not most and rule.min_peak is None and len(names) < 2:  # counting needs no measurements
        total = float(outlines.area[places].sum()) * pixel
        return Regions(count=len(places), area=total, finite=finite)
    view = _View(mask, anomaly_map, outlines, rule, scale, rois)
    if rule.min_peak is not None:
        peaks = [view.values(place, *view.pixels(place))[0] for place in places.tolist()]
        places = places[np.array(peaks) >= rule.min_peak]
    largest = tuple(view.region(place) for place in places[:most].tolist())
    return Regions(
        largest=largest,
        count=len(places),
        area=float(outlines.area[places].sum()) * pixel,
        per_roi=Counter(map(view.roi, places.tolist())) if len(names) > 1 else {},
        finite=finite,
    )


def is_empty(mask: NDArray[np.uint8]) -> bool:
    """Whether a mask, uint8 [H, W], has no anomalous pixel."""
    return not cv2.countNonZero(mask)


class _View:
    """Measures regions one by one, within their boxes."""

    def __init__(
        self,
        mask: NDArray[np.uint8],
        anomaly_map: NDArray[np.float32],
        outlines: Outlines,
        rule: Rule,
        scale: tuple[float, float],
        rois: Labels | None,
    ) -> None:
        self._rois = rois
        self._mask, self._map = mask, anomaly_map
        self._points, self._areas = outlines.points, outlines.area.tolist()
        self._low, self._high = outlines.low.tolist(), outlines.high.tolist()
        self._scale, self._mm = scale, rule.mm_per_px
        # Pixels of the mask at the centers of the map's values: enlarging is bilinear, so a region
        # has its peak at one of them.
        rows, columns = (
            ((np.arange(cells) + 0.5) * (side / cells)).astype(np.intp)
            for cells, side in zip(anomaly_map.shape, mask.shape, strict=True)
        )
        self._centers = mask[rows][:, columns]  # four times as fast as by np.ix_
        self._cells = [
            np.stack(
                [
                    np.searchsorted(at, outlines.low[:, axis]),
                    np.searchsorted(at, outlines.high[:, axis], "right"),
                ],
                axis=1,
            ).tolist()
            for axis, at in ((1, rows), (0, columns))
        ]
        self._rows, self._columns = rows, columns

    def region(self, place: int) -> Region:
        """Return the measurements of one region."""
        (left, top), (right, bottom) = self._low[place], self._high[place]
        points, area, (sx, sy) = self._points[place], self._areas[place], self._scale
        own, alone = self.pixels(place)
        moments = cv2.moments(own, binaryImage=True)
        length, width, angle = _rotated(points)
        peak, mean = self.values(place, own, alone)
        millimeters: tuple[float, float, float] | tuple[()] = ()
        if self._mm is not None:
            x, y = sx * self._mm, sy * self._mm
            long, short = length * x, width * x
            if abs(x / y - 1) > 1e-6:
                scaled = points.astype(np.float32) * np.array([x, y], np.float32)
                long, short, _ = _rotated(scaled, (x, y))
            millimeters = area * x * y, long, short
        return Region(
            (left, top, right - left + 1, bottom - top + 1),
            area,
            length,
            width,
            angle,
            (left + moments["m10"] / area, top + moments["m01"] / area),
            peak,
            mean,
            tuple(points[0, 0].tolist()),
            self.roi(place),
            *millimeters,
        )

    def roi(self, place: int) -> str:
        """Return the ROI that has most of a region, of equal ones the first."""
        if self._rois is None or not self._rois.names:
            return ""
        if len(self._rois.names) == 1:
            return self._rois.names[0]
        (left, top), (right, bottom) = self._low[place], self._high[place]
        own, _ = self.pixels(place)
        labels = self._rois.pixels[top : bottom + 1, left : right + 1][own > 0]
        counts = np.bincount(labels, minlength=2)[1:]
        return self._rois.names[int(counts.argmax())] if counts.any() else ""

    def values(self, place: int, own: NDArray[np.uint8], alone: bool) -> tuple[float, float]:
        """Return the peak and the mean of the anomaly map over one region; see `pixels`."""
        (r0, r1), (c0, c1) = self._cells[0][place], self._cells[1][place]
        cells, inside = self._map[r0:r1, c0:c1], self._centers[r0:r1, c0:c1]
        if not alone:
            left, top = self._low[place]
            inside = own[np.ix_(self._rows[r0:r1] - top, self._columns[c0:c1] - left)]
        mean = cv2.mean(cells, inside)[0] if cells.size else 0.0
        if not mean and not inside.any():  # it lies between the centers
            highest = self._around(place)
            return highest, highest
        return cv2.minMaxLoc(cells, inside)[1], mean

    def _around(self, place: int) -> float:
        """Return the highest value that the box of a region touches."""
        (left, top), (right, bottom) = self._low[place], self._high[place]
        rows, columns = (
            slice(first * cells // side, -(-(last + 1) * cells // side))
            for first, last, cells, side in (
                (top, bottom, self._map.shape[0], self._mask.shape[0]),
                (left, right, self._map.shape[1], self._mask.shape[1]),
            )
        )
        highest = float(self._map[rows, columns].max())
        if highest or self._rois is None:
            return highest
        beside = self._map[max(rows.start - 1, 0) : rows.stop + 1]  # at the border of a ROI
        return float(beside[:, max(columns.start - 1, 0) : columns.stop + 1].max())

    def pixels(self, place: int) -> tuple[NDArray[np.uint8], bool]:
        """Return the pixels of a region in its box, and whether no other region has any there."""
        (left, top), (right, bottom) = self._low[place], self._high[place]
        crop = self._mask[top : bottom + 1, left : right + 1]
        if cv2.countNonZero(crop) == self._areas[place]:
            return crop, True
        _, labels = cv2.connectedComponents(crop, connectivity=8)
        x, y = self._points[place][0, 0]
        return np.asarray(labels == labels[y - top, x - left]).view(np.uint8), False


def enlarged(
    anomaly_map: NDArray[np.float32], size: Size, roi: Roi | None = None
) -> NDArray[np.float32]:
    """Return a map at the size of a mask as the graph enlarges it, bilinearly; roi: of its picture.

    What is beside a ROI gets the highest value next to it, so that its border does not fade.
    """
    if roi is not None:
        inside = roi.labeled((anomaly_map.shape[0], anomaly_map.shape[1])).inside
        beside = cv2.dilate(anomaly_map, np.ones((3, 3), np.uint8))
        anomaly_map = np.where(inside, anomaly_map, beside)
    found = cv2.resize(anomaly_map, size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(found, np.float32)


def outline(mask: NDArray[np.uint8], region: Region) -> NDArray[np.int64]:
    """Return the polygon around the pixels of a region, [n, 2]: x, y of corners of pixels.

    The corner of the top left pixel is (0, 0). Holes are not in it.
    """
    left, top, width, height = region.box
    _, labels = cv2.connectedComponents(mask[top : top + height, left : left + width])
    own = (labels == labels[region.pixel[1] - top, region.pixel[0] - left]).astype(np.uint8)
    # Of a picture of twice the size each pixel of the outline is next to one corner.
    double = own.repeat(2, axis=0).repeat(2, axis=1)
    found, _ = cv2.findContours(double, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    points = found[0][:, 0].astype(np.int64)
    return np.asarray((points + 1) // 2 + (left, top))


def _outlines(mask: NDArray[np.uint8]) -> Outlines:
    """Find the regions of a mask that is not empty, in the order of OpenCV."""
    found, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    counts = np.fromiter(map(len, found), np.int64, len(found))
    ends = np.cumsum(counts)
    starts = ends - counts
    points = np.concatenate(found)[:, 0].astype(np.int64)
    following = np.arange(1, len(points) + 1)
    following[ends - 1] = starts
    (x, y), (to_x, to_y) = points.T, points[following].T
    twice = np.abs(np.add.reduceat(x * to_y - to_x * y, starts))
    steps = np.add.reduceat(np.maximum(np.abs(to_x - x), np.abs(to_y - y)), starts)
    area = (twice + steps) // 2 + 1
    parent = tree[0, :, 3]
    holes = np.flatnonzero(parent >= 0)
    np.subtract.at(area, parent[holes].astype(np.intp), (twice[holes] - steps[holes]) // 2 + 1)
    outer = np.flatnonzero(parent < 0)
    return Outlines(
        [np.asarray(found[place], np.int32) for place in outer.tolist()],
        np.minimum.reduceat(points, starts)[outer],
        np.maximum.reduceat(points, starts)[outer],
        area[outer],
    )


def _rotated(
    points: NDArray[Any], pixel: tuple[float, float] = (1.0, 1.0)
) -> tuple[float, float, float]:
    """Return length, width and angle of the smallest rotated box around pixels of a size (x, y).

    points: [n, 1, 2], the centers of pixels.
    """
    _, (one, other), angle = cv2.minAreaRect(points)
    if one < other:
        one, other, angle = other, one, angle + 90
    across, down = cos(radians(angle)), sin(radians(angle))
    along = hypot(pixel[0] * across, pixel[1] * down)
    beside = hypot(pixel[0] * down, pixel[1] * across)
    return float(one) + along, float(other) + beside, float(angle) % 180
