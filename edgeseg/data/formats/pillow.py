"""Pillow, with every error as one of two: the header of a file before its pixels, then these."""

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile
from PIL.Image import Exif

warnings.filterwarnings("ignore", module=r"PIL\.")  # of tags that are not read here
ORIENTATION = 0x0112  # tag of EXIF and TIFF


SizeCheck = Callable[[int, int], None]
"""Refuses an image for its width and height; called before memory is allocated for it."""


class Damaged(Exception):
    """The bytes are not a whole image; str() is the reason."""


class Refused(Exception):
    """A whole image of a kind that is not read."""

    def __init__(self, code: str, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.code, self.remedy = code, remedy


def several_pages(count: int | str, what: str) -> Refused:
    """Return the refusal of a file with more than one image, of which none is the image."""
    return Refused(
        "data/pages", f"{count} {what} (expected one image)", "save the image that counts as PNG"
    )


def wrong_type(found: str) -> Refused:
    """Return the refusal of pixels that are neither 8 nor 16 bits, gray nor RGB."""
    return Refused(
        "data/pixel-type",
        f"{found} (expected gray or RGB of 8 or 16 bits)",
        "convert it to PNG of 8 or 16 bits",
    )


def opened(plugin: Callable[[io.BytesIO], ImageFile.ImageFile], data: bytes) -> Any:
    """Read a header with a plugin of Pillow, without its global limit of pixels."""
    try:
        return plugin(io.BytesIO(data))
    except MemoryError:
        raise
    except Exception as error:  # any kind, of arbitrary bytes
        raise Damaged(f"in its header: {error}") from error


def loaded(image: Any) -> NDArray[Any]:
    """Decode the pixels of an opened image."""
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        raise Damaged(str(error)) from error
    return np.asarray(image)


def orientation_of(block: bytes) -> int:
    """Return the orientation in a block of EXIF, 1 if there is none or it cannot be read."""
    exif = Exif()
    try:
        exif.load(block)
        return int(exif.get(ORIENTATION, 1))
    except Exception:  # a damaged block of EXIF does not damage the pixels
        return 1


def gray_or_color(image: Any) -> NDArray[np.uint8 | np.uint16]:
    """Return the pixels of a Pillow image of a mode that is read; wrong_type otherwise."""
    mode = image.mode
    if mode in ("P", "PA"):
        alpha = mode == "PA" or "transparency" in image.info
        loaded(image)
        return np.asarray(image.convert("RGBA" if alpha else "RGB"))
    if mode in ("L", "RGB", "RGBA"):
        return loaded(image)
    if mode == "1":
        return loaded(image).astype(np.uint8) * np.uint8(255)
    if mode == "LA":
        pixels = loaded(image)
        return pixels[:, :, [0, 0, 0, 1]]
    if mode.startswith("I;16"):
        return loaded(image).astype(np.uint16)
    names = {
        "F": "floating-point values",
        "I": "32-bit values",
        "CMYK": "CMYK colors",
        "LAB": "L*a*b* colors",
        "YCbCr": "YCbCr colors",
    }
    raise wrong_type(names.get(mode, f"pixels of the kind {mode}"))
