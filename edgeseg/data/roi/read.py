"""Reads the areas to inspect and to ignore, from files of several kinds.

    mask.png          white is inside; the ROI has the name of the file
    masks/            a folder of masks and of the other files: a ROI of each mask
    areas.json        {"size": [W, H], "rois": {"NAME": [[[X, Y], ...], ...]}, "ignore": [...]}
    labels.json       of LabelMe, or COCO with one image
    annotations.xml   of CVAT, `CVAT for images`, with one image

In a file of a labeling tool the label is the name of the ROI; the label `ignore` is ignored. All
files are of pictures of one size, that of the images. Nothing is clipped, guessed or left out: what
is not understood is refused.
"""

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path

import numpy as np

from edgeseg.data.formats.decode import Pixels
from edgeseg.data.images import Mask, read_pixels
from edgeseg.data.listing import SUFFIXES
from edgeseg.data.roi.cvat import read_cvat
from edgeseg.data.roi.drawn import IGNORE, Drawn, not_understood, rings_of
from edgeseg.data.roi.labels import area, read_labels
from edgeseg.data.truth import read_mask
from edgeseg.errors import DataError
from edgeseg.files import shown, walk
from edgeseg.frame.geometry import Size, size_text
from edgeseg.frame.raster import windings
from edgeseg.frame.roi import MOST_NAMES, Area, Corners, Roi
from edgeseg.limits import check_limit
from edgeseg.log import log_once
from edgeseg.text import listed

MOST_CORNERS = 200_000
LEAST_FLAT = 0.75
"""Least share of a mask that is flat; edges that are antialiased or of a JPEG are not."""
NAMED = 6  # ROIs in a line
SLACK = 1.0  # pixels by which labeling tools let a corner leave the picture


def read_roi(roi: Path | None, ignore: Path | None, size: Size | None = None) -> Roi | None:
    """Read what is inspected and what is ignored; None if neither is given.

    size: (height, width) of the images. DataError: `data/roi` for a file that is not understood,
    `data/roi-size` for one of another size, `data/roi-empty` if nothing is left to inspect.
    """
    kept: list[Area] = []
    left: list[Area] = []
    sizes: dict[Path, Size] = {}
    for path, ignored in ((roi, False), (ignore, True)):
        if path is None:
            continue
        for file in _files(path):
            drawn = read_areas(file)
            if not drawn.areas:
                raise _empty(file)
            sizes[file] = drawn.size
            for each in drawn.areas:
                (left if ignored or each.name.lower() == IGNORE else kept).append(each)
    if not sizes:
        return None
    _check_sizes(sizes, size)
    first = next(iter(sizes))
    found = Roi(picture=sizes[first], areas=tuple(kept), ignored=tuple(left))
    _check(found, first)
    share = found.inside(found.picture).mean()
    names = f": {listed([shown(name) for name in found.names], NAMED)}" if found.names else ""
    log_once(f"inspected: {100 * share:.3g} % of the picture{names}")
    return found


def read_areas(path: Path) -> Drawn:
    """Read one file by its suffix."""
    readers: dict[str, Callable[[Path], Drawn]] = {".json": read_labels, ".xml": read_cvat}
    readers |= dict.fromkeys(SUFFIXES, _read_mask)
    if not path.is_file():
        raise DataError(
            f"not found: {shown(path)}",
            remedy="--roi mask.png, or areas.json, or a folder of masks",
            code="data/not-found",
        )
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise not_understood(path, "not a mask image, .json or .xml")
    return reader(path)


def check_resolved(roi: Roi, size: Size) -> None:
    """DataError (`data/roi-empty`) for a ROI without a pixel of a map that shows the picture."""
    labels = roi.labels(size)
    for number, name in enumerate(roi.names, 1):
        if not (labels == number).any():
            side = roi.picture[1] / size[1]
            raise DataError(
                f"the ROI {name} is smaller than a pixel of the network, which has {side:.3g} "
                f"pixels of the picture (its map has {size_text(size)})",
                remedy="a larger ROI, --image-size 256 or --tiles 2x2",
                code="data/roi-empty",
            )


def _read_mask(path: Path) -> Drawn:
    mask = read_mask(path)
    rings = rings_of(mask)
    if not rings:
        raise _empty(path)
    _check_values(path, mask)
    return Drawn((mask.shape[0], mask.shape[1]), (area(path, path.stem, *rings),))


def _check_values(path: Path, mask: Mask) -> None:
    """Refuse a mask whose inside has several values, which may mean several things."""
    pixels = read_pixels(path)
    values = pixels if pixels.ndim == 2 else pixels[:, :, :3].max(axis=2)
    inside = values[mask]
    sides = (inside, values[~mask])
    if sum(_of_one_value(side) for side in sides) < LEAST_FLAT * mask.size:
        raise not_understood(
            path, "it has as many gray levels as a photo (expected black and white)"
        )
    low, high = int(inside.min()), int(inside.max())
    if 2 * low <= high:
        raise not_understood(
            path,
            f"it would be inside where its value is {low} and where it is {high} (expected black "
            "and white)",
        )


def _of_one_value(values: Pixels) -> int:
    """Return how many values are within 1 % of the scale of the most frequent one."""
    if not values.size:
        return 0
    counts = np.bincount(values)
    near = counts.size // 100 + 2
    most = int(counts.argmax())
    return int(counts[max(most - near, 0) : most + near + 1].sum())


def _files(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        return [path]
    files = walk(path, SUFFIXES | {".json", ".xml"}, deep=False).files
    if not files:
        raise not_understood(path, "a folder without masks or files of areas")
    return files


def _check_sizes(sizes: dict[Path, Size], expected: Size | None) -> None:
    wanted = expected or next(iter(sizes.values()))
    for path, size in sizes.items():
        if size != wanted:
            whose = "the images" if expected else shown(next(iter(sizes)))
            raise DataError(
                f"{shown(path)} is for pictures of {size_text(size)} pixels (expected "
                f"{size_text(wanted)}, as {whose})",
                remedy="draw it on a picture of the camera, at its full size",
                code="data/roi-size",
            )


def _check(roi: Roi, path: Path) -> None:
    height, width = roi.picture
    check_limit("EDGESEG_MAX_PIXELS", prod(roi.picture), f"pixels of {shown(path)}")
    areas = (*roi.areas, *roi.ignored)
    corners = np.array([corner for each in areas for ring in each.rings for corner in ring])
    if len(corners) > MOST_CORNERS:
        raise not_understood(path, f"{len(corners)} corners (expected at most {MOST_CORNERS})")
    if (corners < -SLACK).any() or (corners > (width + SLACK, height + SLACK)).any():
        raise not_understood(path, f"a corner is outside of its {size_text(roi.picture)} pixels")
    if len(roi.names) > MOST_NAMES:
        raise not_understood(path, f"{len(roi.names)} names (expected at most {MOST_NAMES})")
    for each in areas:
        if len(each.rings) == 1 and _covers_twice(each.rings[0]):
            raise not_understood(
                path, f"the outline of {shown(each.name)} crosses itself and covers a part twice"
            )
    if not roi.inside(roi.picture).any():
        raise _empty(path)
    missing = set(range(1, len(roi.names) + 1)) - set(np.unique(roi.labels(roi.picture)).tolist())
    if missing:
        name = roi.names[min(missing) - 1]
        raise DataError(
            f"nothing is left of the ROI {shown(name)}: it is empty, ignored or within another",
            remedy="draw it again, or leave it out",
            code="data/roi-empty",
        )


def _covers_twice(ring: Corners) -> bool:
    """Whether a polygon turns twice around a pixel: whether that is inside is doubtful."""
    corners = np.array(ring)
    corners -= np.floor(corners.min(axis=0))
    width, height = np.ceil(corners.max(axis=0)).astype(int).tolist()
    turns = windings([corners], (max(height, 1), max(width, 1)))
    return bool(((turns != 0) & (turns % 2 == 0)).any())


def _empty(path: Path) -> DataError:
    return DataError(
        f"{shown(path)} leaves nothing to inspect",
        remedy="white is inside, black is outside; or name areas to ignore with --ignore",
        code="data/roi-empty",
    )
