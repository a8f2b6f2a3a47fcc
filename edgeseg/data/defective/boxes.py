"""Boxes around defects: `boxes.csv` in the folder of a data set.

    file,x,y,width,height
    bad/a.png,120,64,40,25

`file` is relative to the folder; x and y are the left and the upper edge, in pixels of the upright
image. An image may have several lines.
"""

import csv
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

import numpy as np

from edgeseg.data.images import Mask
from edgeseg.errors import DataError
from edgeseg.files import cannot_read, quoted, shown

BOXES = "boxes.csv"
COLUMNS = ("file", "x", "y", "width", "height")

DefectBox = tuple[int, int, int, int]
"""x, y, width, height."""


def read_boxes(root: Path, images: Collection[Path]) -> dict[Path, list[DefectBox]]:
    """Return the boxes of each image; empty if there is no `boxes.csv`.

    DataError: another header, a value that is no number (`data/boxes`), or a file that is not
    among the defective images (`data/box-without-image`).
    """
    path = root / BOXES
    found: dict[Path, list[DefectBox]] = defaultdict(list)
    if not path.is_file():
        return found
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except OSError as error:
        raise cannot_read(path, error) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise _invalid(path, 1, str(error), "text in UTF-8, with commas") from error
    if not rows or tuple(cell.strip() for cell in rows[0]) != COLUMNS:
        raise _invalid(path, 1, ",".join(rows[0]) if rows else "nothing", ",".join(COLUMNS))
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        try:
            name, (x, y, width, height) = row[0], map(int, row[1:])
        except ValueError:
            raise _invalid(path, number, ",".join(row), "a file and four whole numbers") from None
        if width < 1 or height < 1:
            raise _invalid(path, number, f"{width} x {height}", "a box of at least one pixel")
        if root / name not in images:
            raise DataError(
                f"{shown(path)}, line {number}: {shown(name)} is not a defective image of this "
                "data set",
                remedy="name the image relative to the folder, for instance: bad/a.png",
                code="data/box-without-image",
            )
        found[root / name].append((x, y, width, height))
    return found


def box_mask(boxes: Collection[DefectBox], size: tuple[int, int], path: Path) -> Mask:
    """Return bool [H, W], True inside the boxes; DataError for one that leaves the image."""
    height, width = size
    mask = np.zeros(size, np.bool_)
    for x, y, wide, high in boxes:
        if x < 0 or y < 0 or x + wide > width or y + high > height:
            raise DataError(
                f"box {x},{y},{wide},{high} leaves {shown(path)}, which has {width} x {height} "
                "pixels",
                remedy="correct boxes.csv: x, y, width and height in pixels of the image",
                code="data/boxes",
            )
        mask[y : y + high, x : x + wide] = True
    return mask


def _invalid(path: Path, line: int, found: str, expected: str) -> DataError:
    return DataError(
        f"{shown(path)}, line {line}: {shown(found)} (expected {expected})",
        remedy=f"correct it: {quoted(path)}",
        code="data/boxes",
    )
