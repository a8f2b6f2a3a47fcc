"""Pixel formats of industrial cameras, and how their bytes become a frame.

Formats of 10 to 16 bits are scaled to 8 by their highest bits. Numbers, names and packing: Pixel
Format Naming Convention 2.4 (EMVA); the formats named Packed are those of GigE Vision 1.x.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from edgeseg.data.images import Image
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, FrameFormat

Unpack = Callable[[Image, Image], None]
"""Writes 8-bit pixels [rows, columns, channels] from the bytes [n] of a frame."""


@dataclass(frozen=True)
class GenicamFormat:
    """One pixel format of a camera."""

    code: int
    """Its upper bytes hold the bits per pixel."""
    kind: FrameFormat
    """What it is, or becomes by `unpack`."""
    unpack: Unpack | None = None
    """None: its bytes are a frame."""
    names: tuple[str, ...] = ()
    """Other names."""
    writes: int = 1
    """Of the CPU, for `unpack`."""

    @property
    def bits(self) -> int:
        """Bits per pixel, as they are sent."""
        return self.code >> 16 & 0xFF

    def frame_bytes(self, height: int, width: int) -> int:
        """Return the size of a frame in bytes."""
        return -(-height * width * self.bits // 8)


def _high_bytes(data: Image, pixels: Image) -> None:
    """Mono16: the second byte of each pixel."""
    np.copyto(pixels.reshape(-1), data[1::2])


def _shifted(bits: int) -> Unpack:
    """Return what reads pixels of 10, 12 or 14 bits in two bytes, the lowest first."""

    def unpack(data: Image, pixels: Image) -> None:
        flat = pixels.reshape(-1)
        np.right_shift(data[0::2], bits - 8, out=flat)
        flat |= data[1::2] << (16 - bits)

    return unpack


def _outer_bytes(data: Image, pixels: Image) -> None:
    """Mono10Packed and Mono12Packed: two pixels in three bytes, the middle one has low bits."""
    flat = pixels.reshape(-1)
    first, second = flat[0::2], flat[1::2]
    np.copyto(first, data[0::3][: len(first)])
    np.copyto(second, data[2::3][: len(second)])


def _dense_12(data: Image, pixels: Image) -> None:
    """Mono12p: two pixels in three bytes, the lowest bits first."""
    flat = pixels.reshape(-1)
    first, second = flat[0::2], flat[1::2]
    np.copyto(first, (data[0::3] >> 4)[: len(first)])
    first |= (data[1::3] << 4)[: len(first)]
    np.copyto(second, data[2::3][: len(second)])


def _dense_10(data: Image, pixels: Image) -> None:
    """Mono10p: four pixels in five bytes, the lowest bits first."""
    flat = pixels.reshape(-1)
    for place in range(4):
        pixel, low = flat[place::4], 2 * place + 2
        np.copyto(pixel, (data[place::5] >> low)[: len(pixel)] if low < 8 else 0)
        pixel |= (data[place + 1 :: 5] << (8 - low))[: len(pixel)]


def _colors(code: int) -> Unpack:
    """Return OpenCV's conversion of a Bayer pattern to BGR."""

    def unpack(data: Image, pixels: Image) -> None:
        cv2.cvtColor(data.reshape(*pixels.shape[:2], 1), code, dst=pixels)

    return unpack


GENICAM_FORMATS: dict[str, GenicamFormat] = {
    "BGR8": GenicamFormat(0x02180015, "bgr", names=("BGR8Packed",)),
    "RGB8": GenicamFormat(0x02180014, "rgb", names=("RGB8Packed",)),
    "BayerRG8": GenicamFormat(0x01080009, "bayer_rggb"),
    # OpenCV names a pattern by its second row, from the second column on.
    "BayerGR8": GenicamFormat(0x01080008, "bgr", _colors(cv2.COLOR_BayerGB2BGR)),
    "BayerGB8": GenicamFormat(0x0108000A, "bgr", _colors(cv2.COLOR_BayerGR2BGR)),
    "BayerBG8": GenicamFormat(0x0108000B, "bgr", _colors(cv2.COLOR_BayerRG2BGR)),
    "Mono8": GenicamFormat(0x01080001, "gray"),
    "Mono10Packed": GenicamFormat(0x010C0004, "gray", _outer_bytes),
    "Mono12Packed": GenicamFormat(0x010C0006, "gray", _outer_bytes),
    "Mono10p": GenicamFormat(0x010A0046, "gray", _dense_10, writes=3),
    "Mono12p": GenicamFormat(0x010C0047, "gray", _dense_12, writes=3),
    "Mono16": GenicamFormat(0x01100007, "gray", _high_bytes),
    "Mono10": GenicamFormat(0x01100003, "gray", _shifted(10), writes=3),
    "Mono12": GenicamFormat(0x01100005, "gray", _shifted(12), writes=3),
    "Mono14": GenicamFormat(0x01100025, "gray", _shifted(14), writes=3),
}
"""By name; of color before gray, and those that need the least work first."""


def choose_format(
    offered: list[str], wanted: FrameFormat, asked: FrameFormat | None
) -> tuple[str, GenicamFormat] | None:
    """Return the camera's name of a format and the format; None if none of them can be read.

    wanted: the graph's; asked: --camera-format.
    """
    by_name = GENICAM_FORMATS | {n: f for f in GENICAM_FORMATS.values() for n in f.names}
    known = [(name, by_name[name]) for name in offered if name in by_name]
    if asked is not None:
        known = [each for each in known if each[1].kind == asked]
    order = list(GENICAM_FORMATS.values())

    def cost(each: tuple[str, GenicamFormat]) -> tuple[bool, bool, int]:
        form = each[1]
        direct = form.kind == wanted and form.unpack is None
        return not direct, (form.kind == "gray") != (wanted == "gray"), order.index(form)

    return min(known, key=cost, default=None)


def bytes_of_frame(kind: FrameFormat, size: tuple[int, int]) -> int:
    """Return the bytes of a frame in one of our formats; size: (height, width)."""
    rows, columns, channels = PIXEL_FORMATS[kind].shape(*size)
    return rows * columns * channels
