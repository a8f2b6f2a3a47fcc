"""Defects that judge: six families that no training draws.

A head learns the kinds of anomalies that are drawn for it, and one that is judged by the same kinds
looks better than it is (docs/experiments.md). What trains is in data/synth.py, data/defects.py and
data/natural.py: textures, shading, marks, patches, torn surfaces, cracks, pieces of other parts.
Here: soft spots, warps, chipped borders, blurred regions, soft changes of light, and regions whose
structure is gone. All random numbers come from a NumPy generator; sizes follow the image.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from edgeseg.data.defective.paste import content_of
from edgeseg.data.images import Image, Mask
from edgeseg.data.textures import Field

DrawnDefect = tuple[Image, Mask]
VISIBLE = 2.0  # mean change of the gray values in a mask, below which a drawing is repeated
TRIES = 12


def draw_defect(
    family: str, image: Image, rng: Generator, inside: Mask | None = None
) -> DrawnDefect:
    """Draw a visible defect of a family: uint8 [H, W, 3] -> (image, mask bool [H, W]).

    inside: where it may be; None: everywhere. The mask is empty if nothing was drawn there.
    """
    best: DrawnDefect | None = None
    most = -1.0
    for _ in range(TRIES):
        changed, mask = FAMILIES[family](image, rng)
        if inside is not None:
            changed = np.where(inside[:, :, None], changed, image)
            mask = mask & inside
        change = cv2.absdiff(changed, image)
        mask = mask & (change.max(axis=2) > 0)
        seen = float(change[mask].mean()) if mask.any() else 0.0
        if seen > most:
            best, most = (changed, mask), seen
        if seen >= VISIBLE:
            break
    assert best is not None
    return best


def spot(image: Image, rng: Generator) -> DrawnDefect:
    """A drop or a stain: one to three soft blobs of another color."""
    alpha = np.zeros(image.shape[:2], np.float32)
    for _ in range(int(rng.integers(1, 4))):
        alpha = np.maximum(alpha, _blob(image, rng, rng.uniform(0.012, 0.09), soft=0.8))
    tint = rng.uniform(0.3, 1.7, 3)
    if (image.max(axis=2) == image.min(axis=2)).all():
        tint[:] = tint[0]  # a gray camera sees no color
    color = np.clip(image.mean(axis=(0, 1)) * tint, 0, 255)
    alpha = alpha * np.float32(rng.uniform(0.35, 0.9))
    return _mix(image, np.broadcast_to(color, image.shape), alpha), alpha > 0.4 * alpha.max()


def warp(image: Image, rng: Generator) -> DrawnDefect:
    """The part is bent: its surface is pushed aside inside a disk."""
    radius = rng.uniform(0.06, 0.16)
    alpha = _blob(image, rng, radius, soft=1.6)
    push = rng.uniform(0.25, 0.6) * radius * min(image.shape[:2])
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    moved = cv2.remap(
        image,
        x + alpha * np.float32(push * np.cos(angle)),
        y + alpha * np.float32(push * np.sin(angle)),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    return np.asarray(moved, np.uint8), alpha > 0.3


def chip(image: Image, rng: Generator) -> DrawnDefect:
    """A piece is broken off at the border of the part, or of the image."""
    part = content_of(image)
    height, width = part.shape
    inner = cv2.erode(np.pad(part.astype(np.uint8), 1), np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    border = np.flatnonzero(part & (inner == 0))
    row, column = divmod(int(border[rng.integers(len(border))]), width)
    reach = rng.uniform(0.03, 0.1) * min(height, width)
    corners = np.array([(column, row)]) + rng.uniform(-reach, reach, (9, 2))
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(canvas, cv2.convexHull(np.rint(corners).astype(np.int32)), 1)
    mask = (canvas > 0) & part
    outside = image[~part] if not part.all() else np.zeros((1, 3), np.uint8)
    level = np.median(outside, axis=0) + rng.normal(0, 4, image.shape)
    return _mix(image, level, mask.astype(np.float32)), mask


def smooth(image: Image, rng: Generator) -> DrawnDefect:
    """A worn or greasy region, in which the structure is blurred."""
    alpha = _blob(image, rng, rng.uniform(0.05, 0.18), soft=0.5)
    sigma = rng.uniform(0.012, 0.035) * min(image.shape[:2])
    return _mix(image, cv2.GaussianBlur(image, (0, 0), float(sigma)), alpha), alpha > 0.5


def light(image: Image, rng: Generator) -> DrawnDefect:
    """A glare or a shadow with soft borders."""
    alpha = _blob(image, rng, rng.uniform(0.08, 0.22), soft=1.4)
    gain = 2.0 ** (rng.choice((-1, 1)) * rng.uniform(0.3, 1.0))
    return _mix(image, image * gain, alpha), alpha > 0.4


def erased(image: Image, rng: Generator) -> DrawnDefect:
    """Something is missing: what surrounds a region was continued into it."""
    mask = _blob(image, rng, rng.uniform(0.05, 0.12), soft=0.05) > 0.5
    small = 256 / max(image.shape[:2])  # inpainting takes long on large images
    size = (max(int(image.shape[1] * small), 8), max(int(image.shape[0] * small), 8))
    shape = (image.shape[1], image.shape[0])
    hole = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    hole = cv2.dilate((hole > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    filled = cv2.inpaint(cv2.resize(image, size, interpolation=cv2.INTER_AREA), hole, 3, 1)
    level = cv2.resize(filled, shape, interpolation=cv2.INTER_CUBIC)
    return _mix(image, level + rng.normal(0, 1.5, image.shape), mask.astype(np.float32)), mask


FAMILIES: dict[str, Callable[[Image, Generator], DrawnDefect]] = {
    "spot": spot,
    "warp": warp,
    "chip": chip,
    "smooth": smooth,
    "light": light,
    "erased": erased,
}


def _blob(image: Image, rng: Generator, radius: float, *, soft: float) -> Field:
    """Return an irregular disk on the part, float32 [H, W] in 0..1, falling over soft x radius."""
    part = content_of(image)
    height, width = part.shape
    places = np.flatnonzero(part)
    row, column = divmod(int(places[rng.integers(len(places))]), width)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(0.6, 1.0)
    along = np.cos(angle) * (x - column) + np.sin(angle) * (y - row)
    across = np.cos(angle) * (y - row) - np.sin(angle) * (x - column)
    away = np.hypot(along * stretch, across / stretch) / (radius * min(height, width))
    grid = rng.normal(size=(9, 9)).astype(np.float32)
    uneven = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip((1 - away - 0.15 * uneven) / soft + 0.5, 0, 1), np.float32)


def _mix(image: Image, level: np.ndarray, alpha: Field) -> Image:
    share = alpha[:, :, None]
    mixed: Image = np.clip(np.rint((1 - share) * image + share * level), 0, 255).astype(np.uint8)
    return mixed
