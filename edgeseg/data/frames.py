"""Sample frames for parity checks and benchmarks, from a folder of images or synthetic.

Images are resized to the frames of a graph. Synthetic frames are procedural textures, never black
frames: the speed of a network on a CPU can depend on its input.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.data.images import Image, fill_frame, read_image
from edgeseg.data.layouts import open_dataset
from edgeseg.data.listing import walk_images
from edgeseg.data.textures import ProceduralTextures
from edgeseg.errors import DataError
from edgeseg.frame.geometry import Size
from edgeseg.log import log
from edgeseg.runtime.base import Slot

KEPT = 8  # images of a parity check; more did not change its result, and each costs two runs
CYCLED = 16  # images of a benchmark: more than the caches hold, few enough for 4K in memory
SYNTHETIC = 8  # synthetic frames of a benchmark


@dataclass(frozen=True)
class FrameSet:
    """Frames in the format and size of a graph, uint8 [F, rows, columns, C], and their origin."""

    pixels: NDArray[np.uint8]
    origin: str

    def fill(self, slot: Slot, turn: int) -> None:
        """Write the frames of run `turn` into a slot, cyclically."""
        batch, count = len(slot.frame), len(self.pixels)
        for n in range(batch):
            np.copyto(slot.frame[n], self.pixels[(turn * batch + n) % count])


def load_frames(card: GraphCard, data: Path | None) -> FrameSet:
    """Return up to 16 images of a folder as frames, or synthetic frames if `data` is None."""
    if data is None:
        log.info("no --data given: using synthetic frames")
        images = _textures(card.map_size, np.random.default_rng(0), SYNTHETIC)
        origin = f"{len(images)} synthetic frames"
    else:
        images = pick_images(data, CYCLED, card.bit_depth)
        origin = f"{len(images)} images of {data}"
    frames = np.empty((len(images), *card.frame_shape[1:]), np.uint8)
    for frame, image in zip(frames, images, strict=True):
        fill_frame(frame, image, source="rgb", target=card.frame_format, aspect=card.aspect)
    return FrameSet(frames, origin)


def parity_frames(
    card: GraphCard, images: Sequence[Image] = (), *, most: int = KEPT
) -> list[NDArray[np.uint8]]:
    """Return frames for a graph, each uint8 [N, H, W, C]: images, then black, white and noise.

    images: RGB uint8 [h, w, 3], of which at most `most` are used; without any, procedural textures.
    """
    generator = np.random.default_rng(0)
    images = list(images[:most]) or _textures(card.map_size, generator, KEPT // 2)
    frames = list(batches(card, len(images), images.__getitem__))
    for level in (0, 255):
        frames += batches(card, 1, [np.full((*card.frame_size, 3), level, np.uint8)].__getitem__)
    return [*frames, generator.integers(0, 256, card.frame_shape, np.uint8)]


def batches(
    card: GraphCard, count: int, image: Callable[[int], Image]
) -> Iterator[NDArray[np.uint8]]:
    """Yield `count` images in the batches that a graph takes, each a new uint8 [N, H, W, C].

    image: place -> RGB uint8 [h, w, 3]; the first ones again fill up the last batch.
    """
    for start in range(0, count, card.frame_shape[0]):
        batch = np.empty(card.frame_shape, np.uint8)
        for k, frame in enumerate(batch, start):
            fill_frame(
                frame, image(k % count), source="rgb", target=card.frame_format, aspect=card.aspect
            )
        yield batch


def pick_paths(folder: Path, most: int) -> list[Path]:
    """Choose images in a folder and its subfolders, evenly and deterministically.

    Of a data set the test images are chosen, which include defects; ground truth is left out.
    DataError if the folder is missing or contains no image.
    """
    paths: list[Path] = []
    with suppress(DataError):  # any folder of images will do
        paths = [sample.path for sample in open_dataset(folder).test]
    paths = paths or walk_images(folder)
    return [paths[place] for place in evenly(len(paths), most)]


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """Return at most `most` indices of 0..count-1, evenly spaced, including both ends."""
    return np.linspace(0, count - 1, min(most, count)).round().astype(np.intp)


def pick_images(folder: Path, most: int, bit_depth: int) -> list[Image]:
    """Read the images of `pick_paths`, RGB uint8 [h, w, 3]; bit_depth: of the card."""
    return [read_image(path, bit_depth) for path in pick_paths(folder, most)]


def _textures(size: Size, generator: np.random.Generator, count: int) -> list[Image]:
    textures = ProceduralTextures()
    return [textures.draw(generator, size) for _ in range(count)]
