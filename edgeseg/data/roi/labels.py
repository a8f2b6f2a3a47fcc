"""Areas in JSON: edgeseg's own form, a card's, LabelMe's and COCO's."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.data.roi.drawn import IGNORE, Drawn, not_understood, rings_of
from edgeseg.frame.roi import Area, Corners, Roi
from edgeseg.schema import Invalid, bounded, build, parse, read_text
from edgeseg.settings import LARGEST_SIDE

CIRCLE = 64  # corners of a circle
Polygon = tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class OwnAreas:
    """Edgeseg's own form."""

    size: tuple[int, int] = bounded(1, LARGEST_SIDE)
    """(width, height) of the picture."""
    rois: dict[str, tuple[Polygon, ...]] = field(default_factory=dict)
    ignore: tuple[Polygon, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LabelMeShape:
    """One shape of LabelMe, of which other fields are not read."""

    label: str
    points: tuple[tuple[float, float], ...]
    shape_type: str = "polygon"


def read_labels(path: Path) -> Drawn:
    """Read a JSON file of any of these kinds; DataError (`data/roi`) for another."""
    try:
        document = parse(read_text(path))
        if not isinstance(document, dict):
            raise not_understood(path, "not an object in JSON")
        if "picture" in document:
            found = build(Roi, document)
            ignored = [Area(name=IGNORE, rings=area.rings) for area in found.ignored]
            return Drawn(found.picture, (*found.areas, *ignored))
        if "shapes" in document:
            return _labelme(path, document)
        if "annotations" in document:
            return _coco(path, document)
        own = build(OwnAreas, document)
    except (Invalid, OSError, ValueError, KeyError, TypeError) as error:
        raise not_understood(path, f"{type(error).__name__}: {error}") from error
    polygons = [(name, each) for name, several in own.rois.items() for each in several]
    polygons += [(IGNORE, each) for each in own.ignore]
    width, height = own.size
    return Drawn((height, width), tuple(area(path, name, ring) for name, ring in polygons))


def area(path: Path, name: str, *rings: Corners) -> Area:
    """Return a checked area; DataError for a ring of less than three corners, or a bad name."""
    for ring in rings:
        if len(ring) < 3:
            raise not_understood(path, f"a polygon of {len(ring)} corners (expected 3 or more)")
    try:
        return build(Area, {"name": name, "rings": rings})
    except Invalid as error:
        raise not_understood(path, str(error)) from error


def rectangle(left: float, top: float, right: float, bottom: float) -> Corners:
    """Return the corners of a rectangle."""
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _labelme(path: Path, document: dict[str, Any]) -> Drawn:
    areas = []
    for shape in document["shapes"]:
        known = {k: shape[k] for k in ("label", "points", "shape_type") if k in shape}
        found = build(LabelMeShape, known)
        kind, points = found.shape_type, found.points
        if kind == "rectangle" and len(points) == 2:
            points = rectangle(*points[0], *points[1])
        elif kind == "circle" and len(points) == 2:
            (x, y), radius = points[0], math.dist(*points)
            turns = (2 * math.pi * k / CIRCLE for k in range(CIRCLE))
            points = tuple((x + radius * math.cos(t), y + radius * math.sin(t)) for t in turns)
        elif kind != "polygon":
            problem = f"the shape '{kind[:40]}' is not read"
            raise not_understood(path, f"{problem} (expected polygon, rectangle or circle)")
        areas.append(area(path, found.label, points))
    size = build(_Sized, {k: document[name] for k, name in _LABELME_SIZE.items()})
    return Drawn((size.height, size.width), tuple(areas))


@dataclass(frozen=True, kw_only=True)
class _Sized:
    height: int = bounded(1, LARGEST_SIDE)
    width: int = bounded(1, LARGEST_SIDE)

    @property
    def pixels(self) -> int:
        return self.height * self.width


_LABELME_SIZE = {"height": "imageHeight", "width": "imageWidth"}


def _coco(path: Path, document: dict[str, Any]) -> Drawn:
    images = document["images"]
    if len(images) != 1:
        raise not_understood(path, f"{len(images)} images in a COCO file (expected 1)")
    size = build(_Sized, {k: images[0][k] for k in ("height", "width")})
    names = {each["id"]: str(each["name"]) for each in document["categories"]}
    areas = [
        found
        for each in document["annotations"]
        for found in _coco_areas(path, each, names[each["category_id"]], size)
    ]
    return Drawn((size.height, size.width), tuple(areas))


def _coco_areas(path: Path, each: dict[str, Any], name: str, size: _Sized) -> Iterator[Area]:
    """Yield the areas of an annotation: polygons, counts of pixels, or its box."""
    drawn = each.get("segmentation")
    if isinstance(drawn, dict):
        counts = drawn["counts"]
        if not isinstance(counts, list) or drawn["size"] != [size.height, size.width]:
            raise not_understood(path, "counts of pixels that are compressed or of another size")
        if not all(type(n) is int and n >= 0 for n in counts) or sum(counts) != size.pixels:
            raise not_understood(path, "counts of pixels that do not add up to its picture")
        values = np.arange(len(counts)) % 2 == 1  # outside, inside, outside, ... by column
        flat = np.repeat(values, counts)
        yield area(path, name, *rings_of(flat.reshape(size.width, size.height).T))
    elif drawn:
        for flat in drawn:
            if len(flat) % 2:
                raise not_understood(path, "a polygon with an odd number of coordinates")
            yield area(path, name, tuple(zip(flat[::2], flat[1::2], strict=True)))
    else:
        left, top, width, height = each["bbox"]
        yield area(path, name, rectangle(left, top, left + width, top + height))
