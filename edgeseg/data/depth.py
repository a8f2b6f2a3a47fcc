"""The bit depth of the values in 16-bit files: cameras store 10, 12 and 14 bits in them.

It is found once, over the images of a training, and is a field of the cards from then on, so that
a part has the same gray values in training, evaluation and prediction.

Whether the photos are gray is found from a few of them: a color in a pasted texture would then tell
nothing about defects. A JPEG has traces of color, so nearly all pixels have nearly none.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from edgeseg.data.images import read_image, read_pixels
from edgeseg.errors import DataError
from edgeseg.log import log_once
from edgeseg.recipes import TrainConfig

DEPTHS = (8, 10, 12, 14, 16)
PHOTOS = 8  # of which the colors are looked at
COLORLESS = 12  # levels between the highest and the lowest channel of a pixel
SHARE = 0.99  # of the pixels of each photo
_PNG, _DEPTH_IN_PNG = b"\x89PNG", 24
_TIFF = (b"II", b"MM")


def bit_depth(paths: Iterable[Path]) -> int:
    """Return the smallest depth that holds every value of the 16-bit files; 16 if there is none.

    A file that cannot be read is left to whoever reads its pixels. Files of 8 bits cost a header.
    """
    largest = 0
    for path in paths:
        with suppress(DataError):
            if _may_have_16_bits(path):
                pixels = read_pixels(path)
                if pixels.dtype == np.uint16:
                    largest = max(largest, int(pixels.max(initial=0)))
    return next(bits for bits in DEPTHS if largest < 1 << bits) if largest else DEPTHS[-1]


def _may_have_16_bits(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_DEPTH_IN_PNG + 1)
    except OSError:
        return False
    if head.startswith(_PNG):
        return head[_DEPTH_IN_PNG:] == b"\x10"
    return head.startswith(_TIFF)


def resolve_texture_color(config: TrainConfig, paths: Sequence[Path]) -> TrainConfig:
    """Replace texture_color `auto` by gray or color, as the photos are, and log which."""
    if config.texture_color != "auto":
        return config
    gray = are_gray(paths)
    log_once(f"photos: {'gray, so are' if gray else 'in color, as are'} the synthetic textures")
    return dataclasses.replace(config, texture_color="gray" if gray else "color")


def are_gray(paths: Sequence[Path]) -> bool:
    """Whether photos, of which a few are read, are gray; damaged ones are left out."""
    found = []
    for path in paths[:: max(len(paths) // PHOTOS, 1)][:PHOTOS]:
        with suppress(DataError):  # reported by whoever reads them all
            image = read_image(path)
            chroma = image.max(axis=2) - image.min(axis=2)
            found.append(float(np.mean(chroma <= COLORLESS)) >= SHARE)
    return bool(found) and all(found)
