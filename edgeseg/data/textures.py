"""Textures for synthetic anomalies: from a folder of images, or procedural.

The papers use photographs of DTD. The default is ten kinds of procedural texture: a scalar field in
[0, 1], mapped to a ramp of random colors. Nothing is downloaded.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edgeseg.data import published
from edgeseg.data.images import Image, read_image, resize
from edgeseg.data.listing import walk_images
from edgeseg.errors import DataError
from edgeseg.frame.geometry import Size
from edgeseg.log import log, log_once

ATTEMPTS = 100  # draws of a texture that can be read
Field = NDArray[np.float32]


class Textures(Protocol):
    """A source of textures."""

    def draw(self, rng: Generator, size: Size) -> Image:
        """Return a random texture, RGB uint8 [height, width, 3]."""
        ...


class FolderTextures:
    """The images in a folder and its subfolders. An incomplete DTD is logged as a warning."""

    def __init__(self, folder: Path) -> None:
        remedy = "--textures FOLDER with images, or no --textures for procedural ones"
        self.paths = walk_images(folder, remedy)
        if warning := published.textures_shortfall(folder):
            log.warning(warning)

    def draw(self, rng: Generator, size: Size) -> Image:
        """Return a random texture; one that cannot be read is named once, and another one taken.

        DataError: many in a row cannot be read.
        """
        for attempt in range(ATTEMPTS):
            path = self.paths[rng.integers(len(self.paths))]
            try:
                return _read_texture(path, size)
            except DataError as error:
                if attempt == ATTEMPTS - 1:
                    raise
                log_once(f"{error.problem}; another texture is used")
        raise AssertionError("no attempt")


class ProceduralTextures:
    """Clouds, waves, checks, cells, spots, strokes and more, in random colors."""

    def draw(self, rng: Generator, size: Size) -> Image:
        side = max(size)  # a part of a square: cells and spots stay round
        first = FIELDS[rng.integers(len(FIELDS))](rng, side)
        if rng.random() < 0.5:
            second = FIELDS[rng.integers(len(FIELDS))](rng, side)
            share = np.float32(rng.uniform(0.2, 0.8))
            first = share * first + (1 - share) * second
        return _colorize(first[: size[0], : size[1]], rng)


@lru_cache(maxsize=2048)
def _read_texture(path: Path, size: Size) -> Image:
    return resize(read_image(path), *size)


def _colorize(field: Field, rng: Generator) -> Image:
    """Map a field in [0, 1] onto a ramp of two to four random colors.

    Brightness, contrast and saturation vary independently: plain random colors are medium gray on
    average, and every anomaly on a dark part would be a bright one.
    """
    stops = int(rng.integers(2, 5))
    middle, contrast, saturation = rng.uniform((0, 8, 0), (255, 160, 100))
    gray = middle + contrast * rng.uniform(-1, 1, (stops, 1))
    colors = np.clip(gray + saturation * rng.uniform(-1, 1, (stops, 3)), 0, 255)
    levels = np.linspace(0, 1, 256)
    ramp = np.stack([np.interp(levels, np.linspace(0, 1, stops), c) for c in colors.T], axis=1)
    index = (np.clip(field, 0, 1) * 255).astype(np.uint8)
    return np.asarray(ramp.astype(np.uint8)[index])


def _axes(rng: Generator, side: int) -> tuple[Field, Field]:
    """Return two axes, 0 to 1 across the image, rotated by a random angle."""
    angle = rng.uniform(0, np.pi)
    line = np.linspace(0, 1, side, dtype=np.float32)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x, y = line[None, :], line[:, None]
    return cosine * x + sine * y, cosine * y - sine * x


def _noise(rng: Generator, side: int, cells: int) -> Field:
    """Return smooth noise in [0, 1] with about `cells` maxima per side."""
    grid = rng.random((cells + 3, cells + 3), dtype=np.float32)
    return np.asarray(cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC))


def clouds(rng: Generator, side: int) -> Field:
    """Fractal noise: three octaves, each with half the amplitude."""
    cells = int(2 ** rng.integers(1, 4))
    coarse, middle, fine = (_noise(rng, side, cells * 4**k) for k in range(3))
    return (4 * coarse + 2 * middle + fine) / np.float32(7)


def waves(rng: Generator, side: int) -> Field:
    """Parallel bands, distorted by noise."""
    u, _ = _axes(rng, side)
    turns = np.float32(rng.uniform(2, 30))
    bend = np.float32(rng.uniform(0, 2)) * _noise(rng, side, 3)
    return np.asarray(0.5 + 0.5 * np.sin(2 * np.pi * turns * u + bend), np.float32)


def checks(rng: Generator, side: int) -> Field:
    """A checkerboard, or bricks if the two pitches differ."""
    u, v = _axes(rng, side)
    pitch_u, pitch_v = rng.uniform(3, 20, 2)
    return np.asarray((np.floor(u * pitch_u) + np.floor(v * pitch_v)) % 2, np.float32)


def cells(rng: Generator, side: int) -> Field:
    """Distance to the nearest of random points: scales, pebbles, cracked ground."""
    count = int(rng.integers(10, 150))
    seeds = np.full((side, side), 255, np.uint8)
    seeds[tuple(rng.integers(0, side, (2, count)))] = 0
    distance = cv2.distanceTransform(seeds, cv2.DIST_L2, 3)
    return np.asarray(distance / (distance.max() + 1e-6), np.float32)


def spots(rng: Generator, side: int) -> Field:
    """Discs of random size and gray value."""
    canvas = np.full((side, side), rng.random(), np.float32)
    for _ in range(int(rng.integers(5, 60))):
        x, y = (int(value) for value in rng.integers(0, side, 2))
        radius = int(rng.uniform(0.01, 0.12) * side) + 1
        cv2.circle(canvas, (x, y), radius, float(rng.random()), -1, cv2.LINE_AA)
    return canvas


def strokes(rng: Generator, side: int) -> Field:
    """Straight lines across the image."""
    canvas = np.full((side, side), rng.random(), np.float32)
    for _ in range(int(rng.integers(5, 80))):
        x0, y0, x1, y1 = (int(value) for value in rng.integers(-side // 4, side * 5 // 4, 4))
        width = int(rng.integers(1, max(side // 40, 2)))
        cv2.line(canvas, (x0, y0), (x1, y1), float(rng.random()), width, cv2.LINE_AA)
    return canvas


def grains(rng: Generator, side: int) -> Field:
    """White noise, stretched along one axis: sand, felt, brushed metal."""
    rows, columns = (max(side // int(2 ** rng.integers(0, 5)), 2) for _ in range(2))
    grid = rng.random((rows, columns), dtype=np.float32)
    return np.asarray(cv2.resize(grid, (side, side), interpolation=cv2.INTER_LINEAR))


def rings(rng: Generator, side: int) -> Field:
    """Concentric waves around a random centre."""
    u, v = _axes(rng, side)
    centre_u, centre_v = (np.float32(value) for value in rng.uniform(0, 1, 2))
    radius = np.hypot(u - centre_u, v - centre_v)
    return np.asarray(0.5 + 0.5 * np.sin(radius * np.float32(rng.uniform(20, 200))), np.float32)


def slopes(rng: Generator, side: int) -> Field:
    """A linear gradient, as of uneven light."""
    u, _ = _axes(rng, side)
    return np.asarray((u - u.min()) / (u.max() - u.min()), np.float32)


def weave(rng: Generator, side: int) -> Field:
    """Two crossed bands: cloth, mesh, grids."""
    u, v = _axes(rng, side)
    turns_u, turns_v = (np.float32(turns) for turns in rng.uniform(5, 40, 2))
    crossed = np.sin(2 * np.pi * turns_u * u) * np.sin(2 * np.pi * turns_v * v)
    return np.asarray(0.5 + 0.5 * crossed, np.float32)


FIELDS: tuple[Callable[[Generator, int], Field], ...] = (
    clouds,
    waves,
    checks,
    cells,
    spots,
    strokes,
    grains,
    rings,
    slopes,
    weave,
)
