"""BMP: without compression and without checksum, so only a truncated file is recognized."""

import numpy as np
from numpy.typing import NDArray
from PIL.BmpImagePlugin import BmpImageFile

from edgeseg.data.formats.pillow import SizeCheck, gray_or_color, opened


def decode_bmp(data: bytes, check: SizeCheck) -> tuple[NDArray[np.uint8 | np.uint16], int]:
    """Return the pixels; a BMP has no orientation."""
    image = opened(BmpImageFile, data)
    check(*image.size)
    return gray_or_color(image), 1
