"""The frames that a benchmark runs on: a user's own, or synthetic ones that are said to be so.

Never black frames: a network's speed on a CPU can depend on what it sees, and a line never sees
black ones.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.data.images import Image, fill_frame, read_image, walk_images
from edgeseg.errors import DataError
from edgeseg.log import log
from edgeseg.runtime.base import Slot

KEPT = 16  # frames, cycled: more than the caches hold, few enough for 4K in memory


@dataclass(frozen=True)
class Frames:
    """Frames in a graph's format and size, uint8 [F, H, W, C], and where they are from."""

    pixels: NDArray[np.uint8]
    origin: str

    def fill(self, slot: Slot, turn: int) -> None:
        """Write the frames of run `turn` into a slot; the last is followed by the first."""
        batch, count = len(slot.frame), len(self.pixels)
        for n in range(batch):
            np.copyto(slot.frame[n], self.pixels[(turn * batch + n) % count])


def load_frames(card: GraphCard, data: Path | None) -> Frames:
    """Read up to 16 images spread over a folder, or make synthetic ones when `data` is None."""
    if data is None:
        log.info("no --data given: the frames are synthetic")
        images = [_synthetic(card.frame_shape[1], card.frame_shape[2], seed) for seed in range(8)]
        return Frames(_fit(card, images), f"{len(images)} synthetic frames")
    if not data.is_dir():
        raise DataError(f"There is no folder {data}.", remedy="--data FOLDER with images")
    paths = walk_images(data)
    if not paths:
        raise DataError(f"{data} holds no image.", remedy="put PNG, JPEG, BMP or TIFF files there")
    chosen = paths[:: max(len(paths) // KEPT, 1)][:KEPT]
    images = [read_image(path) for path in chosen]
    return Frames(_fit(card, images), f"{len(images)} of {len(paths)} images of {data}")


def _fit(card: GraphCard, images: list[Image]) -> NDArray[np.uint8]:
    frames = np.empty((len(images), *card.frame_shape[1:]), np.uint8)
    for frame, image in zip(frames, images, strict=True):
        fill_frame(frame, image, source="rgb", target=card.frame_format)
    return frames


def _synthetic(height: int, width: int, seed: int) -> Image:
    """Make an RGB picture with the smooth light, the grain and the noise of a camera's."""
    generator = np.random.default_rng(seed)
    light = generator.uniform(60, 190, (4, 4, 3))
    grain = generator.normal(0, 12, (height // 8 + 1, width // 8 + 1))
    smooth = np.asarray(cv2.resize(light, (width, height), interpolation=cv2.INTER_CUBIC))
    rough = np.asarray(cv2.resize(grain, (width, height)))
    noise = generator.normal(0, 3, smooth.shape)
    return (smooth + rough[:, :, None] + noise).clip(0, 255).astype(np.uint8)
