"""Defective images as the network sees them, with what is known about the place of the defect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg.data.defective.boxes import DefectBox, box_mask
from edgeseg.data.images import Image, Mask, read_image, resize, resize_float
from edgeseg.data.layouts import Sample
from edgeseg.data.truth import read_mask_of
from edgeseg.geometry import Aspect, Size, fit

COVERED = 0.5  # a pixel of the network is anomalous if the mask covers this share of it ...
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
) -> list[KnownDefect]:
    """Read defective images; a mask goes before boxes, and an empty mask says nothing.

    DataError: a damaged image or mask, a mask of another size than its image, a box outside of it.
    """
    return [_read(s, boxes.get(s.path, ()), network, aspect, bit_depth) for s in samples]


def _read(
    sample: Sample, boxes: Sequence[DefectBox], network: Size, aspect: Aspect, bit_depth: int
) -> KnownDefect:
    image = read_image(sample.path, bit_depth)
    size = (image.shape[0], image.shape[1])
    mask = _mask(sample, size)
    exact = mask is not None
    if mask is None:
        mask = box_mask(boxes, size, sample.path) if boxes else np.ones(size, np.bool_)
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
