"""Defects cut out of defective images and pasted on good ones.

The pixels around a defect are taken along and fade out, so that no outline is left that would give
the paste away. All random numbers come from a NumPy generator.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edgeseg.data.images import Image, Mask

SCALES = (0.7, 1.4)
LARGE = 1 / 3  # of the shorter side: a cutout beyond it keeps the direction of the material ...
TILT = 0.1  # ... but for this angle, in radians
GAINS = (0.5, 2.0)  # at most, to match the brightness of the surroundings
MARGIN = 1 / 40  # of the shorter side: how far the paste reaches beyond the mask; half of it fades
TRIES = 8  # places
ON_PART = 0.6  # of the mask has to be on the part
LEVELS = 12  # of difference to the background that make a pixel part of the part
WHOLE = (0.15, 0.95)  # a part that covers less or more of an image has no background
VISIBLE = 0.5  # a pixel belongs to the pasted mask if this share of it does


@dataclass(frozen=True)
class Cutout:
    """A defect and its surroundings: image uint8 [h, w, 3], mask bool [h, w]."""

    image: Image
    mask: Mask


def cut_out(image: Image, mask: Mask) -> Cutout:
    """Return the bounding box of a mask, with the margin of a paste and the ring around it."""
    margin = 2 * reach(image)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = (max(int(places[0]) - margin, 0) for places in (rows, columns))
    bottom, right = (int(places[-1]) + margin + 1 for places in (rows, columns))
    return Cutout(image[top:bottom, left:right], mask[top:bottom, left:right])


def reach(image: Image) -> int:
    """Return how many pixels a paste reaches beyond the mask of its defect."""
    height, width = image.shape[:2]
    return max(round(MARGIN * min(int(height), int(width))), 1)


def paste(image: Image, cutout: Cutout, rng: Generator) -> tuple[Image, Mask]:
    """Paste a defect, turned, mirrored and scaled, on a good image uint8 [H, W, 3].

    Returns the image and the mask bool [H, W], which is empty if the defect found no place.
    """
    height, width = image.shape[:2]
    content = content_of(image)
    places = np.flatnonzero(content)
    margin = reach(image)
    large = max(cutout.mask.shape) > LARGE * min(height, width)
    for _ in range(TRIES):
        row, column = divmod(int(places[rng.integers(len(places))]), width)
        angle = np.pi * int(rng.integers(2)) + rng.uniform(-TILT, TILT)
        if not large:
            angle = rng.uniform(0.0, 2 * np.pi)
        matrix = _placement(cutout.mask.shape, (row, column), float(angle), rng)
        size = (width, height)
        cover = cv2.warpAffine(cutout.mask.astype(np.float32), matrix, size)
        mask = np.asarray(cover >= VISIBLE)
        if not mask.any() or content[mask].mean() < ON_PART:
            continue
        inside = cv2.warpAffine(np.ones(cutout.mask.shape, np.float32), matrix, size) > 0.99
        pixels = cv2.warpAffine(cutout.image, matrix, size, borderMode=cv2.BORDER_REFLECT)
        return _blend(image, pixels.astype(np.float32), mask, inside, margin), mask
    return image, np.zeros((height, width), np.bool_)


def content_of(image: Image) -> Mask:
    """Return where the part is, bool [H, W]: what differs from the border; all if that is unclear.

    The border of the image is background if its middle color is found at all four sides.
    """
    sides = [image[0], image[-1], image[:, 0], image[:, -1]]
    colors = np.array([np.median(side, axis=0) for side in sides])
    background = np.median(colors, axis=0)
    apart = np.abs(image.astype(np.int16) - background).max(axis=2) > LEVELS
    closed = cv2.morphologyEx(apart.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    part = np.asarray(closed > 0)
    uneven = np.abs(colors - background).max() > LEVELS
    if uneven or not WHOLE[0] < part.mean() < WHOLE[1]:
        return np.ones(image.shape[:2], np.bool_)
    return part


def _placement(
    shape: tuple[int, ...], place: tuple[int, int], angle: float, rng: Generator
) -> NDArray[np.float64]:
    """Return the matrix [2, 3] that turns, mirrors and scales a cutout, its middle at `place`."""
    scale = np.exp(rng.uniform(*np.log(SCALES)))
    mirror = rng.choice((-1.0, 1.0))
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos * mirror, -sin], [sin * mirror, cos]])
    middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    row, column = place
    return np.column_stack([turn, np.array([column, row]) - turn @ middle])


def _blend(
    image: Image, pixels: NDArray[np.float32], mask: Mask, inside: Mask, margin: int
) -> Image:
    """Blend warped pixels into an image: all of them in the mask, fewer and fewer around it."""
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    alpha = np.clip(2 - 2 * distance / margin, 0, 1) * inside  # 1 up to half of the margin
    ring = (distance > margin / 2) & (distance <= 2 * margin) & inside
    if ring.any():
        source, target = pixels[ring].mean() + 1, image[ring].mean() + 1
        pixels = pixels * np.clip(target / source, *GAINS)
    alpha = np.where(mask, 1.0, alpha)[:, :, None].astype(np.float32)
    blended = alpha * pixels + (1 - alpha) * image
    return np.clip(np.rint(blended), 0, 255).astype(np.uint8)
