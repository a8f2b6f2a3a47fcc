"""The bit depth of the values in 16-bit files: cameras store 10, 12 and 14 bits in them.

It is found once, over the images of a training, and is a field of the cards from then on, so that
a part has the same gray values in training, evaluation and prediction.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from edgeseg.data.images import read_pixels
from edgeseg.errors import DataError

DEPTHS = (8, 10, 12, 14, 16)
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
