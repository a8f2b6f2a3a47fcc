"""The frames that a parity check runs on: pictures, and the three that break numerics."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.data.images import Image, fill_frame, read_image, walk_images
from edgeseg.data.layouts import open_dataset
from edgeseg.data.textures import ProceduralTextures
from edgeseg.errors import DataError

KEPT = 8  # pictures; more of them moved no figure, and each costs a run of both sides


def parity_frames(
    card: GraphCard, images: Sequence[Image] = (), *, most: int = KEPT
) -> list[NDArray[np.uint8]]:
    """Return frames for a graph, each uint8 [N, H, W, C]: pictures, black, white, noise.

    images: RGB uint8 [h, w, 3], at most `most` are taken; without any, procedural textures serve.
    """
    generator = np.random.default_rng(0)
    pictures = list(images[:most]) or _textures(card.image_size, generator)
    frames = []
    for start in range(0, len(pictures), card.frame_shape[0]):
        batch = np.empty(card.frame_shape, np.uint8)
        for k, frame in enumerate(batch):
            picture = pictures[(start + k) % len(pictures)]
            fill_frame(frame, picture, source="rgb", target=card.frame_format)
        frames.append(batch)
    black = np.zeros(card.frame_shape, np.uint8)
    noise = generator.integers(0, 256, card.frame_shape, np.uint8)
    return [*frames, black, np.full_like(black, 255), noise]


def pick_paths(folder: Path, most: int) -> list[Path]:
    """Choose images in and below a folder evenly, the same every time.

    From a data set those for testing, where defects are; ground truth is left out. DataError for a
    folder that is not there or holds no image.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", remedy="--data FOLDER with images")
    paths = walk_images(folder)
    with suppress(DataError):  # any folder of images will do
        paths = [sample.path for sample in open_dataset(folder).test] or paths
    if not paths:
        raise DataError(
            f"{folder} holds no image.", remedy="put PNG, JPEG, BMP or TIFF files there"
        )
    return [paths[place] for place in evenly(len(paths), most)]


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """Return at most `most` of the places 0..count-1, the ends among them."""
    return np.linspace(0, count - 1, min(most, count)).round().astype(np.intp)


def pick_images(folder: Path, most: int) -> list[Image]:
    """Read the images of `pick_paths`, RGB uint8 [h, w, 3]."""
    return [read_image(path) for path in pick_paths(folder, most)]


def _textures(side: int, generator: np.random.Generator) -> list[Image]:
    textures = ProceduralTextures()
    return [textures.draw(generator, side) for _ in range(KEPT // 2)]
