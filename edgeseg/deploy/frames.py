"""The frames that a parity check runs on: pictures, and the three that break numerics."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.data.images import Image, fill_frame
from edgeseg.data.textures import ProceduralTextures

KEPT = 8  # pictures; more of them moved no figure, and each costs a run of both sides


def parity_frames(card: GraphCard, images: Sequence[Image] = ()) -> list[NDArray[np.uint8]]:
    """Return frames for a graph, each uint8 [N, H, W, C]: pictures, black, white, noise.

    images: RGB uint8 [h, w, 3], at most eight are taken; without any, procedural textures serve.
    """
    generator = np.random.default_rng(0)
    pictures = list(images[:KEPT]) or _textures(card.image_size, generator)
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


def _textures(side: int, generator: np.random.Generator) -> list[Image]:
    textures = ProceduralTextures()
    return [textures.draw(generator, side) for _ in range(KEPT // 2)]
