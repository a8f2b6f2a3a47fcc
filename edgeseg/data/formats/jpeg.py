"""JPEG: decoded by libjpeg-turbo with every warning as an error, which OpenCV and Pillow ignore.

A truncated file, and damage after which the number of blocks is wrong, are found. JPEG has no
checksum: of 40 random bytes in the entropy-coded data about three in four are found.
"""

from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from edgeseg.data.formats.header import (
    Damaged,
    Header,
    SizeCheck,
    orientation_of,
    wrong_type,
)
from edgeseg.limits import limit

END = b"\xff\xd9"


def decode_jpeg(data: bytes, check: SizeCheck) -> tuple[NDArray[np.uint8], int]:
    """Return RGB uint8 [H, W, 3] or gray [H, W], and the orientation.

    Of a file with several pictures (MPO) this is the first one; the others are previews.
    """
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise Damaged(_reason(error)) from error
    check(Header(width, height))
    if colors.upper() in ("CMYK", "YCCK"):
        raise wrong_type("CMYK colors")
    gray = colors.lower() == "gray"
    pixels = _strict(data, "GRAY" if gray else "RGB")
    return (pixels[:, :, 0] if gray else pixels), orientation_of(_exif(data))


def decode_bgr(jpeg: bytes, buffer: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Decode the JPEG of a camera as BGR uint8 [H, W, 3], into `buffer` if that is its shape.

    Damaged: it is not whole, or has more pixels than EDGESEG_MAX_PIXELS. Cameras deliver upright
    frames: the orientation of EXIF is not applied.
    """
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
    except ValueError as error:
        raise Damaged(_reason(error)) from error
    if height * width > limit("EDGESEG_MAX_PIXELS"):
        raise Damaged(f"{width} x {height} is more than EDGESEG_MAX_PIXELS")
    shape = (height, width, 3)
    fits = buffer.shape == shape and buffer.flags.c_contiguous
    pixels = buffer if fits else np.empty(shape, np.uint8)
    _strict(jpeg, "BGR", buffer=pixels)
    return pixels


def _exif(data: bytes) -> bytes:
    """Return the block of EXIF in the headers, empty if there is none."""
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1 : at + 2] == b"\xe1" and data[at + 4 : at + 10] == b"Exif\0\0":
            return data[at + 4 : end]
        at = end
    return b""


def _strict(data: bytes, colors: str, **options: Any) -> NDArray[np.uint8]:
    try:
        return _decode(data, colors, **options)
    except ValueError as error:
        unpadded = _unpadded(data) if "before marker 0xd9" in str(error) else None
        if unpadded is None:
            raise Damaged(_reason(error)) from error
    try:
        return _decode(unpadded, colors, **options)
    except ValueError as error:
        raise Damaged(_reason(error)) from error


def _unpadded(data: bytes) -> bytes | None:
    """Return a JPEG without what cameras fill its last words with; None if there is nothing."""
    whole = data.rstrip(b"\0\r\n ")
    body = whole.removesuffix(END)
    short = min(body.rstrip(b"\0"), body.rstrip(b"\xff"), key=len)
    return short + END if whole.endswith(END) and len(short) < len(body) else None


def _decode(data: bytes, colors: str, **options: Any) -> NDArray[np.uint8]:
    # The exact transform and chroma filter, which are OpenCV's too.
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
        data, colors, fastdct=False, fastupsample=False, strict=True, **options
    )
    return pixels


def _reason(error: ValueError) -> str:
    text = str(error).removeprefix("Corrupt JPEG data: ")
    return "no JPEG header" if "DecompressHeader" in text else text[:1].lower() + text[1:]
