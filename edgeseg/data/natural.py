"""Synthetic defects that keep the material: torn surfaces, cracks, pieces of other parts.

Textures, marks, shading and patches (`defects.py`) have sharp borders and one strength each. Here
borders are soft or jagged and strengths vary inside a defect. A pixel belongs to the mask where the
picture changed visibly. Kinds that are barely visible (soft shading, warps, local contrast) were
tried and left out: a head that must find them finds less of the rest (docs/experiments.md). All
random numbers come from a NumPy generator.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edgeseg.data.images import Image, Mask
from edgeseg.data.noise import perlin
from edgeseg.data.textures import Field

VISIBLE_LEVELS = 2.5  # mean change of the gray values around a pixel of a mask


def natural(image: Image, rng: Generator, others: Sequence[Image]) -> tuple[Image, Mask]:
    """Draw one of three kinds: uint8 [H, W, 3] -> (image with a defect, mask bool [H, W]).

    others: good images of the same size, for pieces of other parts.
    """
    kind = int(rng.integers(len(KINDS) + 1))
    if kind == len(KINDS):
        other = others[int(rng.integers(len(others)))] if len(others) else image
        return graft(image, other, rng)
    return KINDS[kind](image, rng)


def torn(image: Image, rng: Generator) -> tuple[Image, Mask]:
    """A rough surface: lit relief instead of the finish, with a jagged border."""
    shape = image.shape[:2]
    cells = int(rng.integers(6, 24))
    height = sum(_noise(rng, shape, cells << k) / np.float32(1 << k) for k in range(3))
    angle = rng.uniform(0, 2 * np.pi)
    down, right = np.gradient(np.asarray(height, np.float32))
    relief = np.cos(angle) * down + np.sin(angle) * right
    relief = relief / max(float(relief.std()), 1e-6) * rng.uniform(5, 40)
    jagged = 0.1 * _noise(rng, shape, int(rng.integers(10, 40)))
    alpha = _region(rng, shape, cells=(1, 5), soft=0.05, jagged=np.asarray(jagged, np.float32))
    level = _local_mean(image, 0.05) * 2.0 ** rng.uniform(-0.8, 0.8) + relief[:, :, None]
    return _blend(image, level, alpha)


def crack(image: Image, rng: Generator) -> tuple[Image, Mask]:
    """A line that turns, branches and changes its width."""
    height, width = image.shape[:2]
    scale, side = 4, max(height, width)
    canvas = np.zeros((height * scale, width * scale), np.uint8)
    start = rng.uniform(0.05, 0.95, 2) * (width, height) * scale
    angle = rng.uniform(0, 2 * np.pi)
    bends = int(rng.integers(8, 50))
    step = scale * side * rng.uniform(0.1, 0.9) / bends
    thick = scale * side * rng.uniform(0.002, 0.012)
    branches = [(start, angle, bends)]
    while branches and bends:
        place, angle, left = branches.pop()
        for _ in range(left):
            angle += rng.normal(0, 0.35)
            stop = place + step * np.array([np.cos(angle), np.sin(angle)])
            ends = np.rint(np.stack([place, stop])).astype(np.int32)
            cv2.polylines(canvas, [ends], False, 255, max(int(thick * rng.uniform(0.2, 1.3)), 1))
            place = stop
            if rng.random() < 0.04 and len(branches) < 3:
                branches.append(
                    (place, angle + rng.choice((-1, 1)) * rng.uniform(0.4, 1.2), left // 2)
                )
    cover = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)
    soft = cv2.GaussianBlur(cover, (0, 0), float(rng.uniform(0.4, 1.0)))
    gain = 2.0 ** (rng.choice((-1, 1), p=(0.85, 0.15)) * rng.uniform(0.5, 2.5))
    drawn = np.clip(np.rint(image * (1 + soft[:, :, None] * (gain - 1))), 0, 255).astype(np.uint8)
    return drawn, np.asarray(soft >= 0.2)


def graft(image: Image, other: Image, rng: Generator) -> tuple[Image, Mask]:
    """A piece of another part, turned and scaled, as in CutPaste across images."""
    height, width = image.shape[:2]
    alpha = _region(rng, (height, width), cells=(1, 5), soft=rng.uniform(0.02, 0.2))
    turn = cv2.getRotationMatrix2D(
        (width / 2, height / 2), float(rng.uniform(0, 360)), float(2.0 ** rng.uniform(-1, 1.5))
    )
    across, down = rng.uniform(-0.5, 0.5, 2)
    turn = turn + np.array([[0, 0, across * width], [0, 0, down * height]])
    piece = cv2.warpAffine(other, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    level = piece * 2.0 ** rng.uniform(-0.5, 0.5)
    return _blend(image, level, alpha)


KINDS = (torn, crack)


def _region(
    rng: Generator,
    shape: tuple[int, ...],
    *,
    cells: tuple[int, int],
    soft: float,
    jagged: Field | None = None,
) -> Field:
    """Return the strength of a defect, float32 [H, W] in 0..1, which falls to 0 over `soft`."""
    rows, columns = (int(n) for n in rng.integers(*cells, 2, endpoint=True))
    square = perlin(rng, (64, 64), rows, columns)  # smooth: drawn small and enlarged
    noise = cv2.resize(square, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    if jagged is not None:
        noise = noise + jagged
    highest = float(noise.max())
    above = highest - rng.uniform(0.2, 0.8) * max(highest, 0.1)
    return np.asarray(np.clip((noise - above) / soft + 0.5, 0, 1), np.float32)


def _blend(image: Image, level: NDArray[np.floating], alpha: Field) -> tuple[Image, Mask]:
    share = alpha[:, :, None]
    mixed = np.clip(np.rint((1 - share) * image + share * level), 0, 255).astype(np.uint8)
    return mixed, _visible(image, mixed, alpha)


def _visible(image: Image, changed: Image, alpha: Field) -> Mask:
    """Return where at least half of a defect's strength is, and the picture differs around."""
    apart = cv2.absdiff(image, changed).mean(axis=2, dtype=np.float32)
    around = cv2.GaussianBlur(apart, (0, 0), max(image.shape[:2]) / 96)
    return np.asarray((alpha >= 0.5) & (around >= VISIBLE_LEVELS))


def _noise(rng: Generator, shape: tuple[int, ...], cells: int) -> Field:
    """Return smooth noise of mean 0 and deviation about 1, float32 [H, W]."""
    grid = rng.normal(size=(cells + 3, cells + 3)).astype(np.float32)
    return np.asarray(cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC))


def _local_mean(image: Image, share: float) -> Field:
    """Blur by a Gaussian whose sigma is a share of the longer side: float32 [H, W, 3]."""
    sigma = share * max(image.shape[:2])
    return np.asarray(cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigma))
