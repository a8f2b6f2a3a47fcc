"""Generated images of machined plates on a belt, good and defective, in the MVTec AD layout.

Used by the demo and the tests.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from edgeseg.data.images import Image, Mask, write_png
from edgeseg.data.layouts import GOOD

Defect = Callable[[Image, Image, Generator], Image]
"""(image, mask to draw into, generator) -> the pixels that replace those in the mask."""

SIZE = (192, 256)  # height, width in pixels
PLATE = (28, 40, 164, 216)  # top, left, bottom, right
HOLES = ((56, 70), (56, 186), (136, 70), (136, 186))  # row, column


def write_parts(root: Path, *, train: int, good: int, bad: int, seed: int = 0) -> Path:
    """Write train/good, test/good and, for each type of defect, `bad` images with masks."""
    rng = np.random.default_rng(seed)
    for folder, count in ((root / "train" / GOOD, train), (root / "test" / GOOD, good)):
        for number in range(count):
            write_png(folder / f"{number:03}.png", draw_part(rng))
    for name, defect in DEFECTS.items():
        for number in range(bad):
            image, mask = spoil(draw_part(rng), defect, rng)
            write_png(root / "test" / name / f"{number:03}.png", image)
            truth = root / "ground_truth" / name / f"{number:03}_mask.png"
            write_png(truth, mask.astype(np.uint8) * 255)
    return root


def draw_part(rng: Generator) -> Image:
    """Draw a good plate, RGB uint8 [192, 256, 3], with random position, lighting and grain."""
    height, width = SIZE
    belt = 48 + rng.normal(0, 3, (height, width)).astype(np.float32)
    grain = cv2.blur(rng.normal(0, 30, (height, width)).astype(np.float32), (25, 1))
    top, left, bottom, right = PLATE
    plate = np.zeros(SIZE, np.uint8)
    cv2.rectangle(plate, (left, top), (right, bottom), 255, -1)
    for row, column in HOLES:
        cv2.circle(plate, (column, row), 11, 0, -1, cv2.LINE_AA)
    ring = np.zeros(SIZE, np.uint8)
    cv2.circle(ring, (width // 2, height // 2), 30, 255, 3, cv2.LINE_AA)
    alpha = plate.astype(np.float32) / 255
    gray = (1 - alpha) * belt + alpha * (165 + grain - ring * np.float32(40 / 255))
    light = 1 + rng.uniform(-0.06, 0.06) + rng.uniform(-0.1, 0.1) * np.linspace(-1, 1, width)
    shift = np.array([[1, 0, rng.uniform(-2, 2)], [0, 1, rng.uniform(-2, 2)]], np.float32)
    placed = cv2.warpAffine(gray * light, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
    tinted = placed[:, :, None] * np.array([1.0, 0.98, 0.94])
    noisy: Image = np.clip(tinted + rng.normal(0, 1.5, (*SIZE, 3)), 0, 255).astype(np.uint8)
    return noisy


def spoil(image: Image, defect: Defect, rng: Generator) -> tuple[Image, Mask]:
    """Return the image with a defect, and the mask of the defect."""
    canvas = np.zeros(SIZE, np.uint8)
    changed = defect(image, canvas, rng)
    mask = canvas > 0
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7)[:, :, None]
    blended = soft * changed + (1 - soft) * image
    return np.rint(blended).astype(np.uint8), np.asarray(mask)


def _place(rng: Generator, margin: int) -> tuple[int, int]:
    """Return a random (column, row) on the plate."""
    top, left, bottom, right = PLATE
    column = int(rng.integers(left + margin, right - margin))
    return column, int(rng.integers(top + margin, bottom - margin))


def scratch(image: Image, canvas: Image, rng: Generator) -> Image:
    """A bright or dark line across the grain."""
    x, y = _place(rng, 30)
    angle, length = rng.uniform(0.3, np.pi - 0.3), rng.uniform(25, 60)
    step = (int(length / 2 * np.cos(angle)), int(length / 2 * np.sin(angle)))
    ends = (x - step[0], y - step[1]), (x + step[0], y + step[1])
    cv2.line(canvas, *ends, 255, int(rng.integers(2, 4)))
    return np.full_like(image, 235 if rng.random() < 0.5 else 60)


def stain(image: Image, canvas: Image, rng: Generator) -> Image:
    """A patch of brownish discoloration."""
    axes = (int(rng.uniform(8, 20)), int(rng.uniform(8, 20)))
    cv2.ellipse(canvas, _place(rng, 20), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    brown: Image = (image * np.array([0.72, 0.6, 0.42])).astype(np.uint8)
    return brown


def chip(image: Image, canvas: Image, rng: Generator) -> Image:
    """A chip at the edge of the plate."""
    top, left, bottom, right = PLATE
    x = int(rng.integers(left + 15, right - 15))
    y = top if rng.random() < 0.5 else bottom
    corners = np.array([(x, y)]) + rng.integers(-13, 14, (8, 2))
    cv2.fillConvexPoly(canvas, cv2.convexHull(corners.astype(np.int32)), 255)
    canvas[:top] = canvas[bottom + 1 :] = 0
    return np.full_like(image, 50)


def plugged(image: Image, canvas: Image, rng: Generator) -> Image:
    """A missing hole."""
    row, column = HOLES[rng.integers(len(HOLES))]
    cv2.circle(canvas, (column, row), 14, 255, -1)
    return np.full_like(image, int(rng.integers(140, 175)))


DEFECTS: dict[str, Defect] = {
    "chip": chip,
    "plugged": plugged,
    "scratch": scratch,
    "stain": stain,
}
