"""PNG: every chunk has a checksum, which is compared, and the last one has to be there."""

import zlib
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from edgeseg.data.formats.pillow import (
    Damaged,
    Refused,
    SizeCheck,
    gray_or_color,
    opened,
    orientation_of,
    several_pages,
)

_GRAY = 0  # color type in the header
OPENCV_LIMIT = 1 << 30  # pixels; OpenCV reads OPENCV_IO_MAX_IMAGE_PIXELS when it is loaded


def decode_png(data: bytes, check: SizeCheck) -> tuple[NDArray[np.uint8 | np.uint16], int]:
    """Return the pixels and the orientation; Refused for an animation."""
    kind, head = next(_chunks(data), (b"", b""))
    if kind != b"IHDR" or len(head) != 13:
        raise Damaged("no PNG header")
    size = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")
    check(*size)
    depth, color = head[8], head[9]
    orientation = 1
    for kind, body in _chunks(data):
        if kind == b"acTL" and (frames := int.from_bytes(body[:4], "big")) > 1:
            raise several_pages(frames, "frames of an animation")
        if kind == b"eXIf":
            orientation = orientation_of(bytes(body))
    if depth == 16 and color != _GRAY:
        return decode_16_bit_color(data, *size), orientation
    image = opened(PngImageFile, data)
    if image.mode == "I":  # what Pillow before version 11 makes of 16 bits
        image.load()
        return np.asarray(image).astype(np.uint16), orientation
    return gray_or_color(image), orientation


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield (type, body) of every chunk; Damaged if one is cut or changed, or the end missing."""
    view, at, kind = memoryview(data), 8, b""
    while kind != b"IEND":
        size, kind = int.from_bytes(view[at : at + 4], "big"), bytes(view[at + 4 : at + 8])
        end = at + 8 + size
        if end + 4 > len(view):
            raise Damaged("truncated")
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise Damaged(f"wrong checksum in its chunk {kind.decode('ascii', 'replace')!r}")
        yield kind, view[at + 8 : end]
        at = end + 4


def decode_16_bit_color(data: bytes, width: int, height: int) -> NDArray[np.uint16]:
    """Return uint16 RGB or RGBA of a PNG or TIFF, by OpenCV: Pillow has 8 bits for colors."""
    if width * height > OPENCV_LIMIT:
        raise Refused(
            "data/image-size",
            f"{width} x {height} is more than OpenCV's limit of pixels",
            "store 8 bits per color, or cut the image into tiles",
        )
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise Damaged(error.err) from error
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise Damaged("its pixels cannot be decoded")
    order = [2, 1, 0, 3][: pixels.shape[2]]
    return pixels[:, :, order]  # type: ignore[return-value]  # the stubs have no pixel types
