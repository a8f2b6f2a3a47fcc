"""Bring pixels that a driver or a decoder holds into a frame, with as few writes as possible.

Pixels of the slot's size become the slot's format at once, in the capture thread. Those of another
size are left to inference, which scales them as in training.
"""

import cv2
import numpy as np

from edgeseg.data.formats.frame_bytes import TO_BGR, to_bgr, write_frame
from edgeseg.data.images import Image
from edgeseg.frame.pixel_formats import FrameFormat, picture_size
from edgeseg.stream.source.base import Frame

ONE_PASS: dict[tuple[FrameFormat, FrameFormat], int] = {
    **{(kind, "bgr"): code for kind, code in TO_BGR.items()},
    ("bgr", "rgb"): cv2.COLOR_BGR2RGB,
    ("gray", "rgb"): cv2.COLOR_GRAY2RGB,
    ("yuyv", "rgb"): cv2.COLOR_YUV2RGB_YUY2,
    ("uyvy", "rgb"): cv2.COLOR_YUV2RGB_UYVY,
    ("nv12", "rgb"): cv2.COLOR_YUV2RGB_NV12,
    ("bayer_rggb", "rgb"): cv2.COLOR_BayerBG2RGB,
    ("bgr", "gray"): cv2.COLOR_BGR2GRAY,
    ("rgb", "gray"): cv2.COLOR_RGB2GRAY,
    ("bayer_rggb", "gray"): cv2.COLOR_BayerBG2GRAY,
}
"""OpenCV's conversions from one format to another that write each byte once."""


def deliver(frame: Frame, pixels: Image, kind: FrameFormat, *, writes: int = 0) -> None:
    """Copy or convert pixels [rows, columns, channels] into `frame.image`.

    writes: of the CPU, to make these pixels.
    """
    slot, target = frame.slot_image, frame.slot_format
    fits = slot is not None and picture_size(kind, pixels.shape) == picture_size(target, slot.shape)
    if not fits or slot is None or kind == target:
        np.copyto(frame.buffer(kind, pixels.shape), pixels)
        frame.writes = writes + 1
    else:
        convert(pixels, kind, frame.buffer(target, slot.shape), target)
        frame.writes = writes + count_writes(kind, target)


def convert(pixels: Image, kind: FrameFormat, buffer: Image, target: FrameFormat) -> None:
    """Convert pixels in one format into a buffer of another, of the same size in pixels."""
    code = ONE_PASS.get((kind, target))
    if code is not None:
        cv2.cvtColor(pixels, code, dst=buffer)
    elif kind == "rgb":
        write_frame(pixels, "rgb", buffer, target)
    else:
        write_frame(to_bgr(pixels, kind), "bgr", buffer, target)


def count_writes(kind: FrameFormat, target: FrameFormat) -> int:
    """Return how often `deliver` writes a frame: 1 for a copy and what OpenCV converts at once."""
    if kind == target or (kind, target) in ONE_PASS:
        return 1
    first = 0 if kind in ("bgr", "rgb") else 1
    return first + (2 if target in ("yuyv", "uyvy", "nv12") else 1)
