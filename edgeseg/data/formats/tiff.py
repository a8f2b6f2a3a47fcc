"""TIFF: one page of 8 or 16 bits, uncompressed, LZW, Deflate or PackBits.

Damage is found where the compression shows it: in LZW and, by its checksum, in Deflate.
Uncompressed and PackBits data have nothing to compare with; only a truncated file is recognized.
"""

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

from edgeseg.data.formats.pillow import (
    ORIENTATION,
    Damaged,
    Refused,
    SizeCheck,
    gray_or_color,
    opened,
    several_pages,
    wrong_type,
)
from edgeseg.data.formats.png import decode_16_bit_color

_BITS, _OFFSETS, _COUNTS, _SAMPLE_FORMAT, _TILE_OFFSETS, _TILE_COUNTS = 258, 273, 279, 339, 324, 325
_PHOTOMETRIC, _PLANES, _WHITE_IS_ZERO = 262, 284, 0
_DEFLATE = ("tiff_deflate", "tiff_adobe_deflate")
_READ = ("raw", "packbits", "tiff_lzw", *_DEFLATE)  # of others libtiff ignores the warnings
_BLOCK = 1 << 20


def decode_tiff(data: bytes, check: SizeCheck) -> tuple[NDArray[np.uint8 | np.uint16], int]:
    """Return the pixels and the orientation; Refused for several pages or other pixels."""
    try:
        image = opened(TiffImageFile, data)
    except Damaged as error:
        if "unknown pixel mode" in str(error):
            raise wrong_type("another kind of pixels, such as floating-point colors") from error
        raise
    check(*image.size)
    if (pages := _pages(image)) > 1:
        raise several_pages(pages, "pages")
    compression = image.info.get("compression", "raw")
    if compression not in _READ:
        raise Refused(
            "data/pixel-type",
            f"{compression} compression, in which damage goes unnoticed (expected LZW or Deflate)",
            "convert it to PNG",
        )
    if compression in _DEFLATE:
        _compare_checksums(data, image.tag_v2)
    tags = image.tag_v2
    orientation = _numbers(tags, ORIENTATION)[0]
    bits = max(_numbers(tags, _BITS))
    if bits == 16 and _numbers(tags, _PHOTOMETRIC) == (_WHITE_IS_ZERO,):
        raise wrong_type("16-bit values in which 0 is white")
    if bits == 16 and image.mode in ("RGB", "RGBA", "RGBX"):
        if set(_numbers(tags, _SAMPLE_FORMAT)) != {1}:
            raise wrong_type("signed or floating-point values")
        if _numbers(tags, _PLANES) != (1,):
            raise wrong_type("16-bit colors in separate planes")
        if orientation != 1:  # OpenCV's versions differ in what they make of it
            raise wrong_type(f"16-bit colors with the orientation {orientation}")
        return decode_16_bit_color(data, *image.size), 1
    pixels = gray_or_color(image)
    # Newer versions of Pillow have applied the orientation, and removed its tag.
    return pixels, orientation if ORIENTATION in image.getexif() else 1


def _pages(image: Any) -> int:
    try:
        return int(image.n_frames)
    except Exception as error:
        raise Damaged(f"in its list of pages: {error}") from error


def _numbers(tags: Any, tag: int) -> tuple[int, ...]:
    """Return the values of a tag, (1,) if it is missing; Damaged if they are not whole numbers."""
    found = tags.get(tag, 1)
    values = found if isinstance(found, tuple) and found else (found,)
    if not all(isinstance(value, int) for value in values):
        raise Damaged(f"in its tag {tag}")
    return values


def _compare_checksums(data: bytes, tags: Any) -> None:
    """Compare the checksum at the end of every strip, to which libtiff does not read."""
    tiled = _TILE_OFFSETS in tags
    offsets = _numbers(tags, _TILE_OFFSETS if tiled else _OFFSETS)
    counts = _numbers(tags, _TILE_COUNTS if tiled else _COUNTS)
    for offset, count in zip(offsets, counts, strict=False):
        stream, rest = zlib.decompressobj(), data[offset : offset + count]
        try:
            while not stream.eof and rest:
                stream.decompress(rest, _BLOCK)
                rest = stream.unconsumed_tail
        except zlib.error as error:
            raise Damaged(str(error)) from error
        if not stream.eof:
            raise Damaged("a strip is truncated")
