"""Defective images as the network sees them, with what is known about the place of the defect."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeseg.data.defective.boxes import DefectBox, box_mask
from edgeseg.data.images import Image, Mask, read_image, resize, resize_float
from edgeseg.data.layouts import Sample
from edgeseg.data.truth import read_mask_of
from edgeseg.frame.geometry import Aspect, Size, fit, middle
from edgeseg.frame.locate import moved, placed
from edgeseg.frame.roi import Roi
from edgeseg.frame.tiles import Tiles

COVERED = 0.5  # a pixel of the network is anomalous if the mask covers this share of it ...
MOSTLY = 0.5  # of what is known to be somewhere in the boxes, for the tile that has it
THIN = 0.5  # ... or, for lines thinner than that, this share of the highest cover


@dataclass(frozen=True)
class KnownDefect:
    """A defective image."""

    image: Image
    """uint8 [h, w, 3]"""
    region: Mask
    """bool [h, w]: the pixels of the defect, or those that it is among."""
    exact: bool
    """Whether `region` comes from a mask; otherwise from boxes, or it is the whole image."""


def read_defects(
    samples: Sequence[Sample],
    boxes: Mapping[Path, Sequence[DefectBox]],
    network: Size,
    aspect: Aspect,
    bit_depth: int,
    tiles: Tiles | None = None,
    roi: Roi | None = None,
) -> list[KnownDefect]:
    """Read defective images; a mask goes before boxes, and an empty mask says nothing.

    tiles: the images are cut into them, and tiles of which nothing is known are left out. roi: what
    is inspected; images without a defect there, or without the part, are left out.
    DataError: a damaged image or mask, a mask of another size than its image, a box outside of it.
    """
    size = tiles.grid(network) if tiles else network
    read = (_read(s, boxes.get(s.path, ()), size, aspect, bit_depth, roi) for s in samples)
    known = [*filter(None, read)]
    if roi is not None:
        known = [*filter(None, (_inspected(each, roi) for each in known))]
    if tiles is None:
        return known
    return [tile for each in known for tile in defective_tiles(each, network, tiles)]


def _inspected(known: KnownDefect, roi: Roi) -> KnownDefect | None:
    """Return what is inspected of a defect, or None if that is nothing."""
    if known.region.all() and not known.exact:  # it may be anywhere
        return known
    region = known.region & roi.labeled((known.region.shape[0], known.region.shape[1])).inside
    return replace(known, region=region) if region.any() else None


def defective_tiles(known: KnownDefect, network: Size, tiles: Tiles) -> Iterator[KnownDefect]:
    """Yield the tiles that show a defect.

    Of one with a mask those that have some of it; of boxes the tile that has most of them, as a
    defect may lie anywhere in a box. Nothing is known of the tiles of an image with neither.
    """
    if known.region.all() and not known.exact:
        return
    height, width = tiles.grid(network)
    top, left, *shape = middle(known.region.shape, (height, width))
    around = ((top, height - top - shape[0]), (left, width - left - shape[1]))
    image = np.pad(known.image, (*around, (0, 0)), mode="edge")
    region = np.pad(known.region, around, mode="edge")
    least = 1 if known.exact else MOSTLY * np.count_nonzero(region)
    for box in tiles.boxes(network):
        inside = region[box.rows, box.columns]
        if np.count_nonzero(inside) >= least:
            yield KnownDefect(image[box.rows, box.columns], inside, known.exact)


def _read(
    sample: Sample,
    boxes: Sequence[DefectBox],
    network: Size,
    aspect: Aspect,
    bit_depth: int,
    roi: Roi | None,
) -> KnownDefect | None:
    """Return a defect, the part in its place; None if the part is not found."""
    image, shift = placed(read_image(sample.path, bit_depth), roi)
    if shift is None:
        return None
    size = (image.shape[0], image.shape[1])
    mask = _mask(sample, size)
    exact = mask is not None
    if mask is None:
        mask = box_mask(boxes, size, sample.path) if boxes else np.ones(size, np.bool_)
    mask = moved(mask, shift)
    height, width = fit(size, network, aspect).size
    return KnownDefect(resize(image, height, width), shrink_mask(mask, height, width), exact)


def _mask(sample: Sample, size: tuple[int, int]) -> Mask | None:
    """Read the mask of an image of `size` (height, width); None if it is missing or empty."""
    if sample.mask is None:
        return None
    mask = read_mask_of(sample.path, sample.mask, size)
    return mask if mask.any() else None


def shrink_mask(mask: Mask, height: int, width: int) -> Mask:
    """Resize bool [H, W] to [height, width], so that a thin line stays."""
    cover = resize_float(mask.astype(np.float32), height, width)
    return np.asarray(cover >= min(COVERED, THIN * float(cover.max())))
