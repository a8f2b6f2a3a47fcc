"""Areas in JSON: edgeseg's own form, a card's, LabelMe's and COCO's."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.data.roi.drawn import IGNORE, Drawn, Sized, not_understood, reason, rings_of
from edgeseg.files import shown
from edgeseg.frame.geometry import Size
from edgeseg.frame.roi import Area, Corners, Roi
from edgeseg.limits import check_limit
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
            areas = [area(path, each.name, *each.rings) for each in found.areas]
            areas += [area(path, IGNORE, *each.rings) for each in found.ignored]
            return Drawn(found.picture, tuple(areas))
        if "shapes" in document:
            return _labelme(path, document)
        if "annotations" in document:
            return _coco(path, document)
        own = build(OwnAreas, document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise not_understood(path, reason(error)) from error
    if empty := [name for name, several in own.rois.items() if not several]:
        raise not_understood(path, f"the ROI {shown(empty[0])} has no polygon")
    polygons = [(name, each) for name, several in own.rois.items() for each in several]
    polygons += [(IGNORE, each) for each in own.ignore]
    width, height = own.size
    return Drawn((height, width), tuple(area(path, name, ring) for name, ring in polygons))


def area(path: Path, name: str, *rings: Corners) -> Area:
    """Return a checked area; DataError for one without corners, and for a bad name."""
    if not rings:
        raise not_understood(path, f"the area {shown(str(name))} has no pixel")
    for ring in rings:
        if len(ring) < 3:
            raise not_understood(path, f"a polygon of {len(ring)} corners (expected 3 or more)")
    try:
        found = build(Area, {"name": name, "rings": rings})
    except Invalid as error:
        raise not_understood(path, str(error)) from error
    if shown(name) != name:
        raise not_understood(path, f"the name {shown(name)} has characters that cannot be shown")
    return found


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
    sides = {side: document[name] for side, name in _LABELME_SIZE.items()}
    return Drawn(build(Sized, sides).size, tuple(areas))


_LABELME_SIZE = {"height": "imageHeight", "width": "imageWidth"}


def _coco(path: Path, document: dict[str, Any]) -> Drawn:
    images = document["images"]
    if len(images) != 1:
        raise not_understood(path, f"{len(images)} images in a COCO file (expected 1)")
    image = images[0]
    size = build(Sized, {side: image[side] for side in ("height", "width")}).size
    check_limit("EDGESEG_MAX_PIXELS", math.prod(size), f"pixels of {shown(path)}")
    names = {each["id"]: each["name"] for each in document["categories"]}
    if any(
        each.get("image_id", image.get("id")) != image.get("id") for each in document["annotations"]
    ):
        raise not_understood(path, "an annotation of another image")
    areas = [
        found
        for each in document["annotations"]
        for found in _coco_areas(path, each, names[each["category_id"]], size)
    ]
    return Drawn(size, tuple(areas))


def _coco_areas(path: Path, each: dict[str, Any], name: str, size: Size) -> Iterator[Area]:
    """Yield the areas of an annotation: polygons, counts of pixels, or its box."""
    drawn = each.get("segmentation")
    if isinstance(drawn, dict):
        counts = drawn["counts"]
        if not isinstance(counts, list) or drawn["size"] != list(size):
            raise not_understood(path, "counts of pixels that are compressed or of another size")
        if not all(type(n) is int and n >= 0 for n in counts) or sum(counts) != math.prod(size):
            raise not_understood(path, "counts of pixels that do not add up to its picture")
        values = np.arange(len(counts)) % 2 == 1  # outside, inside, outside, ... by column
        flat = np.repeat(values, counts)
        yield area(path, name, *rings_of(flat.reshape(size[::-1]).T))
    elif drawn:
        for flat in drawn:
            if len(flat) % 2:
                raise not_understood(path, "a polygon with an odd number of coordinates")
            yield area(path, name, tuple(zip(flat[::2], flat[1::2], strict=True)))
    else:
        left, top, width, height = each["bbox"]
        if not (width > 0 and height > 0):
            raise not_understood(path, f"a box of {width} x {height} pixels")
        yield area(path, name, rectangle(left, top, left + width, top + height))
