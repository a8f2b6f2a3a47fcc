"""Synthetic defects without textures: shading, marks and patches.

Real defects of a material rarely look like photographs of another one. Three kinds keep the
material: a region with another brightness, a fine mark (crack, scratch, pore), and a region of the
image copied to another place, as in CutPaste (Li et al., CVPR 2021) but with the outline of
DeSTSeg's Perlin noise. All random numbers come from a NumPy generator.
"""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edgeseg.data.images import Image, Mask
from edgeseg.data.noise import perlin, perlin_mask
from edgeseg.frame.geometry import Size

SHADE_CELLS, SHADE_ABOVE = (1, 4), 0.2  # regions cover about a fifth of the image
SHADE_STOPS = (0.15, 0.7)  # log2 of the factor of brightness
MARK_STOPS = (0.25, 2.0)  # fine marks need more contrast to be visible
SCALE = 8  # marks are drawn at this multiple of the resolution
VISIBLE = 0.25  # a pixel belongs to a mark that covers at least this share of it
CRACK_TURN = 0.5  # radians: standard deviation of the turn at each bend of a crack


def shade(image: Image, rng: Generator) -> tuple[Image, Mask]:
    """Make a large region lighter or darker, as by a stain or an uneven finish."""
    rows, columns = rng.integers(*SHADE_CELLS, 2, endpoint=True)
    mask = perlin(rng, _size(image), int(rows), int(columns)) > SHADE_ABOVE
    gain = 2.0 ** (rng.choice((-1, 1)) * rng.uniform(*SHADE_STOPS))
    corrupted = image.copy()
    corrupted[mask] = np.clip(np.rint(image[mask] * gain), 0, 255).astype(np.uint8)
    return corrupted, mask


def mark(image: Image, rng: Generator) -> tuple[Image, Mask]:
    """Draw one to three cracks, scratches or pores, darker or lighter than the background."""
    height, width = _size(image)
    draw = (_crack, _scratch, _pores)[rng.integers(3)]
    canvas = np.zeros((height * SCALE, width * SCALE), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        draw(canvas, rng)
    cover = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)
    gain = 2.0 ** (rng.choice((-1, 1), p=(0.75, 0.25)) * rng.uniform(*MARK_STOPS))
    blended = image * (1 + cover[:, :, None] * (gain - 1))
    return np.clip(np.rint(blended), 0, 255).astype(np.uint8), np.asarray(cover >= VISIBLE)


def patch(image: Image, rng: Generator) -> tuple[Image, Mask]:
    """Copy a region of the image, shifted, rotated or mirrored, over another one."""
    height, width = _size(image)
    mask = perlin_mask(rng, (height, width))
    turned = np.rot90(image, int(rng.integers(4)))
    if rng.random() < 0.5:
        turned = turned[:, ::-1]
    down, right = (int(rng.integers(side // 8, side - side // 8)) for side in (height, width))
    rows = (np.arange(height) - down) % turned.shape[0]
    columns = (np.arange(width) - right) % turned.shape[1]
    moved = turned[rows[:, None], columns]
    corrupted = image.copy()
    corrupted[mask] = moved[mask]
    return corrupted, mask


def _size(image: NDArray[np.uint8]) -> Size:
    return image.shape[0], image.shape[1]


def _crack(canvas: NDArray[np.uint8], rng: Generator) -> None:
    """A line with many small bends."""
    side = min(canvas.shape)
    length = side * rng.uniform(0.1, 0.8)
    bends = int(rng.integers(6, 30))
    angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, CRACK_TURN, bends))
    steps = length / bends * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = rng.uniform(0.1, 0.9, 2) * canvas.shape[::-1] + np.cumsum(steps, axis=0)
    width = max(int(side * rng.uniform(0.003, 0.015)), 1)
    cv2.polylines(canvas, [points.astype(np.int32)], False, 255, width)


def _scratch(canvas: NDArray[np.uint8], rng: Generator) -> None:
    """A straight line."""
    side = min(canvas.shape)
    angle, length = rng.uniform(0, 2 * np.pi), side * rng.uniform(0.05, 0.6)
    start = rng.uniform(0.1, 0.9, 2) * canvas.shape[::-1]
    stop = start + length * np.array([np.cos(angle), np.sin(angle)])
    width = max(int(side * rng.uniform(0.003, 0.015)), 1)
    ends = np.stack([start, stop]).astype(np.int32)
    cv2.polylines(canvas, [ends], False, 255, width)


def _pores(canvas: NDArray[np.uint8], rng: Generator) -> None:
    """A small ellipse."""
    side = min(canvas.shape)
    x, y = (int(value) for value in rng.uniform(0.05, 0.95, 2) * canvas.shape[::-1])
    axes = [max(int(value), 1) for value in side * rng.uniform(0.006, 0.05, 2)]
    cv2.ellipse(canvas, (x, y), (axes[0], axes[1]), float(rng.uniform(0, 180)), 0, 360, 255, -1)
