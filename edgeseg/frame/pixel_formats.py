"""The pixel formats of frames: what each is called, and how its bytes lie in memory.

A **picture** is what the bytes show, of a size (height, width) in pixels. A **frame** is the bytes
as the camera sends them, uint8 [rows, columns, channels]: the shape that the graph's input, a slot
and a source's buffer have.

    bgr, rgb     [H, W, 3]           three bytes per pixel
    gray         [H, W, 1]           one byte per pixel
    yuyv, uyvy   [H, W, 2]           Y0 U Y1 V, U Y0 V Y1: two pixels share U and V
    nv12         [H + H/2, W, 1]     a plane of Y, then rows of U V that 2 x 2 pixels share
    bayer_rggb   [H, W, 1]           one color per pixel: R G in even rows, G B in odd ones

YUV is BT.601 with Y from 16 to 235, as OpenCV reads it. `data/formats/frame_bytes.py` converts on
the CPU, the exported graph converts inside (`model/fused.py`). This file imports no package.
"""

from dataclasses import dataclass
from typing import Literal

FrameFormat = Literal["bgr", "rgb", "gray", "yuyv", "uyvy", "nv12", "bayer_rggb"]
FrameShape = tuple[int, int, int]
"""[rows, columns, channels] of one frame."""


@dataclass(frozen=True)
class PixelFormat:
    """How the bytes of one format lie in memory, and what drivers call it."""

    channels: int
    """Bytes side by side, of the last axis of a frame."""
    even: tuple[bool, bool]
    """Whether height and width have to be even."""
    fourcc: str
    """The name in V4L2."""
    caps: str
    """The caps in GStreamer."""
    planes: int = 1
    """2: rows of U and V, half as many as the picture's, follow the rows of Y."""

    def shape(self, height: int, width: int) -> FrameShape:
        """Return the shape of a frame that shows a picture of this size."""
        return height + (height // 2 if self.planes == 2 else 0), width, self.channels

    def size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return (height, width) of the picture in a frame [..., rows, columns, channels]."""
        rows, columns = shape[-3:-1]
        return (rows * 2 // 3 if self.planes == 2 else rows), columns

    def fits(self, height: int, width: int) -> bool:
        """Whether a picture of this size has a frame in this format."""
        return not any(
            side % 2 for side, even in zip((height, width), self.even, strict=True) if even
        )


PIXEL_FORMATS: dict[FrameFormat, PixelFormat] = {
    "bgr": PixelFormat(3, (False, False), "BGR3", "video/x-raw,format=BGR"),
    "rgb": PixelFormat(3, (False, False), "RGB3", "video/x-raw,format=RGB"),
    "gray": PixelFormat(1, (False, False), "GREY", "video/x-raw,format=GRAY8"),
    "yuyv": PixelFormat(2, (False, True), "YUYV", "video/x-raw,format=YUY2"),
    "uyvy": PixelFormat(2, (False, True), "UYVY", "video/x-raw,format=UYVY"),
    "nv12": PixelFormat(1, (True, True), "NV12", "video/x-raw,format=NV12", planes=2),
    "bayer_rggb": PixelFormat(1, (True, True), "RGGB", "video/x-bayer,format=rggb"),
}


def picture_size(kind: FrameFormat, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (height, width) of the picture in a frame [..., rows, columns, channels]."""
    return PIXEL_FORMATS[kind].size(shape)


def frame_shape(kind: FrameFormat, height: int, width: int) -> FrameShape:
    """Return [rows, columns, channels] of a frame; ValueError for a size that has none."""
    form = PIXEL_FORMATS[kind]
    if not form.fits(height, width):
        raise ValueError(f"{kind} frames of {width}x{height} (expected {even_sides(kind)})")
    return form.shape(height, width)


def even_sides(kind: FrameFormat) -> str:
    """Return the rule of a format for its sizes, as text: `an even width`."""
    height, width = PIXEL_FORMATS[kind].even
    return "an even width and height" if height else "an even width" if width else "any size"
