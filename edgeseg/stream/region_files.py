"""The regions of a call of `predict` as tables for other programs: CSV and COCO.

CSV: a row for each region, numbered as in the overlay. COCO: polygons around the pixels, without
holes; `area` is that of the pixels. File names are relative to the folder that holds all images.
"""

import csv
import json
import os
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from edgeseg import __version__
from edgeseg.files import shown
from edgeseg.prediction import Prediction
from edgeseg.verdict.regions import Region, outline

CSV, COCO = "regions.csv", "regions.coco.json"
COLUMNS = (
    *("file", "verdict", "number", "roi", "left", "top", "box_width", "box_height", "area"),
    *("length", "width", "angle", "centroid_x", "centroid_y", "peak", "mean"),
    *("area_mm2", "length_mm", "width_mm"),
)
PLACES = {"box": ("left", "top", "box_width", "box_height"), "centroid": COLUMNS[12:14]}
CATEGORY = {"id": 1, "name": "anomaly", "supercategory": ""}


class RegionFiles:
    """Collects the regions of the images of one call."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._files: list[Path] = []

    def add(self, file: Path, found: Prediction) -> None:
        """Add the regions of an image."""
        self._files.append(file)
        height, width = found.mask.shape
        image = {"id": len(self._images) + 1, "width": width, "height": height}
        self._images.append(image)
        for number, region in enumerate(found.regions, 1):
            row = {"file": shown(file), "verdict": found.verdict, "number": number}
            self._rows.append(row | _cells(region))
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": image["id"],
                    "category_id": CATEGORY["id"],
                    "segmentation": [outline(found.mask, region).ravel().tolist()],
                    "area": region.area,
                    "bbox": list(region.box),
                    "iscrowd": 0,
                    "score": region.to_json()["peak"],
                }
            )

    def contents(self) -> dict[str, bytes]:
        """Return the two files by name."""
        text = StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        names = _names(self._files)
        document = {
            "info": {"description": f"edgeseg {__version__} predict"},
            "images": [
                image | {"file_name": name} for image, name in zip(self._images, names, strict=True)
            ],
            "categories": [CATEGORY],
            "annotations": self._annotations,
        }
        return {CSV: text.getvalue().encode(), COCO: json.dumps(document).encode()}


def _cells(region: Region) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in region.to_json().items():
        places = PLACES.get(name)
        text = shown(value) if isinstance(value, str) else value
        found |= dict(zip(places, value, strict=True)) if places else {name: text}
    return found


def _names(files: Sequence[Path]) -> list[str]:
    """Return the paths from the folder that holds all files, with `/`."""
    absolute = [path.absolute() for path in files]
    folder = Path(os.path.commonpath([path.parent for path in absolute])) if files else Path()
    return [shown(path.relative_to(folder).as_posix()) for path in absolute]
