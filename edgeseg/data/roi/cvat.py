"""Areas in the XML of CVAT, `CVAT for images 1.1`: polygons and boxes of one image."""

from pathlib import Path
from xml.etree import ElementTree

from edgeseg.data.roi.drawn import Drawn, Sized, not_understood, reason
from edgeseg.data.roi.labels import area, rectangle
from edgeseg.frame.roi import Area
from edgeseg.limits import limit
from edgeseg.schema import build

DRAWN = ("polygon", "box")
NO_AREA = ("tag",)


class _Tree(ElementTree.TreeBuilder):
    def doctype(self, _name: str, _public: str | None, _system: str | None) -> None:
        raise ValueError("XML with a document type")  # its entities can grow beyond the memory


def read_cvat(path: Path) -> Drawn:
    """Read a file of CVAT; DataError (`data/roi`) for another, or one of several images."""
    try:
        data = path.read_bytes()
        if len(data) > limit("EDGESEG_MAX_JSON_MB") << 20:
            raise not_understood(path, "too large (EDGESEG_MAX_JSON_MB raises the limit)")
        parser = ElementTree.XMLParser(target=_Tree())
        images = ElementTree.fromstring(data, parser).findall("image")
        if len(images) != 1:
            raise not_understood(path, f"{len(images)} images in a CVAT file (expected 1)")
        image = images[0]
        if found := [each.tag for each in image if each.tag not in (*DRAWN, *NO_AREA)]:
            problem = f"'{found[0][:40]}' is not read (expected polygon or box)"
            raise not_understood(path, problem)
        areas = [_area(path, each) for each in image if each.tag in DRAWN]
        sides = {side: int(image.attrib[side]) for side in ("height", "width")}
        return Drawn(build(Sized, sides).size, tuple(areas))
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        raise not_understood(path, reason(error)) from error


def _area(path: Path, each: ElementTree.Element) -> Area:
    name, found = each.attrib["label"], each.attrib
    if each.tag == "polygon":
        pairs = (pair.split(",") for pair in found["points"].split(";"))
        return area(path, name, tuple((float(x), float(y)) for x, y in pairs))
    if float(found.get("rotation", 0)):
        raise not_understood(path, "a rotated box is not read (expected a polygon)")
    edges = (float(found[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
    return area(path, name, rectangle(*edges))
