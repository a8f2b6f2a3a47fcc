"""JPEG: decoded by libjpeg-turbo with every warning as an error, which OpenCV and Pillow ignore.

A truncated file, and damage after which the number of blocks is wrong, are found. JPEG has no
checksum: of 40 random bytes in the entropy-coded data about three in four are found.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.data.formats.pillow import (
    Damaged,
    SizeCheck,
    orientation_of,
    wrong_type,
)
from edgeseg.errors import MissingExtra
from edgeseg.limits import limit

MARGIN = 8  # measured: at 6, textures in focus differ by 2 gray levels
END, SCAN, EXIF = b"\xff\xd9", 0xDA, b"Exif\0\0"


def decode_jpeg(data: bytes, check: SizeCheck) -> tuple[NDArray[np.uint8], int]:
    """Return RGB uint8 [H, W, 3] or gray [H, W], and the orientation.

    Of a file with several pictures (MPO) this is the first one; the others are previews.
    """
    height, width, colors = _header(data)
    check(width, height)
    if colors.upper() in ("CMYK", "YCCK"):
        raise wrong_type("CMYK colors")
    gray = colors.lower() == "gray"
    pixels = _strict(data, "GRAY" if gray else "RGB")
    return (pixels[:, :, 0] if gray else pixels), orientation_of(data[_segment(data, 0xE1, EXIF)])


def camera_jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Return (height, width) of the JPEG of a camera.

    Damaged: it has no header, or more pixels than EDGESEG_MAX_PIXELS.
    """
    height, width, _ = _header(jpeg)
    if height * width > limit("EDGESEG_MAX_PIXELS"):
        raise Damaged(f"{width} x {height} is more than EDGESEG_MAX_PIXELS")
    return height, width


def decode_into(jpeg: bytes, colors: str, buffer: NDArray[np.uint8]) -> None:
    """Decode the JPEG of a camera into uint8 [h, w, C]; colors: `bgr`, `rgb` or `gray` (C = 1).

    h, w are its size, or that of `reduced`. Damaged: it is not whole. Cameras deliver upright
    frames: the orientation of EXIF is not applied.
    """
    height, width, _ = buffer.shape
    _strict(jpeg, colors.upper(), buffer=buffer, min_height=height, min_width=width)


def reduced(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """Return the size, full or 1/2, 1/4, 1/8 of it, to decode a JPEG at that is scaled to `target`.

    The transform of the decoder is a sharper filter than that of training, which therefore has to
    do most of the reduction: MARGIN times. The result then differs by one gray level at most from
    that of the whole picture, saturated edges of one pixel aside.
    """
    height, width = size
    for factor in (8, 4, 2):
        if min(height / target[0], width / target[1]) >= MARGIN * factor:
            return -(-height // factor), -(-width // factor)
    return size


@cache
def _codec() -> Any:
    """Import simplejpeg at the first JPEG: a checkout without it can do everything else."""
    try:
        import simplejpeg
    except ImportError as error:
        raise MissingExtra(
            f"package simplejpeg cannot be imported: {error}", remedy="pip install simplejpeg"
        ) from error
    return simplejpeg


def _header(data: bytes) -> tuple[int, int, str]:
    """Return height, width and color space; what its warnings are about, decoding tells."""
    try:
        height, width, colors, _ = _codec().decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError) as error:  # KeyError: a header that ends before its colors
        raise Damaged("no JPEG header") from error
    return height, width, colors


def _segment(data: bytes, marker: int, start: bytes = b"") -> slice:
    """Return where the content of a segment of the headers is; an empty place if there is none."""
    at = 2
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data):
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == marker and data.startswith(start, at + 4):
            return slice(at + 4, end)
        if data[at + 1] == SCAN:
            break
        at = end
    return slice(0, 0)


def _strict(data: bytes, colors: str, **options: Any) -> NDArray[np.uint8]:
    while True:
        try:
            pixels: NDArray[np.uint8] = _codec().decode_jpeg(
                data, colors, fastdct=False, fastupsample=False, strict=True, **options
            )  # the exact transform and chroma filter, which are OpenCV's too
            return pixels
        except ValueError as error:
            mended = next((mend(data) for text, mend in HARMLESS if text in str(error)), data)
            if mended == data:
                raise Damaged(_reason(error)) from error
            data = mended


def _unpadded(data: bytes) -> bytes:
    """Leave out what cameras fill the last words before the end marker with."""
    whole = data.rstrip(b"\0\r\n ")
    body = whole.removesuffix(END)
    short = min(body.rstrip(b"\0"), body.rstrip(b"\xff"), key=len)
    return short + END if whole.endswith(END) and len(short) < len(body) else data


def _of_known_version(data: bytes) -> bytes:
    place = _segment(data, 0xE0, b"JFIF\0")
    return data[: place.start + 5] + b"\1\2" + data[place.start + 7 :] if place.stop else data


def _sequential(data: bytes) -> bytes:
    """Write the only parameters that a scan of a sequential JPEG can have."""
    place = _segment(data, SCAN)
    return data[: place.stop - 3] + b"\0\x3f\0" + data[place.stop :] if place.stop else data


HARMLESS: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("before marker 0xd9", _unpadded),
    ("unknown JFIF revision", _of_known_version),
    ("Invalid SOS parameters", _sequential),
)
"""Warnings about what cameras write into sound files, and what removes their cause."""


def _reason(error: ValueError) -> str:
    text = str(error).removeprefix("Corrupt JPEG data: ")
    return text[:1].lower() + text[1:]
