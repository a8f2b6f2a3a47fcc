"""Areas in the XML of CVAT, `CVAT for images 1.1`: polygons and boxes of one image."""

from pathlib import Path
from xml.etree import ElementTree

from edgeseg.data.roi.drawn import Drawn, not_understood
from edgeseg.data.roi.labels import area, rectangle
from edgeseg.frame.roi import Area
from edgeseg.limits import limit

DRAWN = ("polygon", "box")
NOT_READ = ("polyline", "points", "ellipse", "cuboid", "mask", "skeleton")


def read_cvat(path: Path) -> Drawn:
    """Read a file of CVAT; DataError (`data/roi`) for another, or one of several images."""
    try:
        data = path.read_bytes()
        if len(data) > limit("EDGESEG_MAX_JSON_MB") << 20:
            raise not_understood(path, "too large (EDGESEG_MAX_JSON_MB raises the limit)")
        if b"<!" in data.replace(b"<!--", b""):  # entities can grow beyond the memory
            raise not_understood(path, "XML with a document type or entities")
        images = ElementTree.fromstring(data).findall("image")
        if len(images) != 1:
            raise not_understood(path, f"{len(images)} images in a CVAT file (expected 1)")
        image = images[0]
        if found := [each.tag for each in image if each.tag in NOT_READ]:
            raise not_understood(path, f"'{found[0]}' is not read (expected polygon or box)")
        areas = [_area(path, each) for each in image if each.tag in DRAWN]
        return Drawn((int(image.attrib["height"]), int(image.attrib["width"])), tuple(areas))
    except (ElementTree.ParseError, OSError, ValueError, KeyError) as error:
        raise not_understood(path, f"{type(error).__name__}: {error}") from error


def _area(path: Path, each: ElementTree.Element) -> Area:
    name, found = each.attrib["label"], each.attrib
    if each.tag == "polygon":
        pairs = (pair.split(",") for pair in found["points"].split(";"))
        return area(path, name, tuple((float(x), float(y)) for x, y in pairs))
    if float(found.get("rotation", 0)):
        raise not_understood(path, "a rotated box is not read (expected a polygon)")
    edges = (float(found[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
    return area(path, name, rectangle(*edges))
