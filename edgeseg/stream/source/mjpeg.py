"""MJPEG: its frames are taken as they arrived, and decoded here.

FFmpeg completes a truncated JPEG from the frame before it, OpenCV up to 4.11 with gray, and both
report success. A JPEG is therefore decoded by libjpeg-turbo with its warnings as errors, into the
slot, and in the colors that the graph takes.

    FFmpeg (http cameras, videos)   CAP_PROP_FORMAT = -1 delivers packets
    V4L2                            the buffers of the driver; in OpenCV CAP_PROP_CONVERT_RGB = 0
    GStreamer                       a pipeline that ends in `image/jpeg ! appsink ...`
"""

import cv2

from edgeseg.data.formats.jpeg import camera_jpeg_size, decode_into, reduced
from edgeseg.data.formats.pillow import Damaged
from edgeseg.frame.pixel_formats import FrameFormat, frame_shape, picture_size
from edgeseg.log import log
from edgeseg.stream.source.base import Frame, Source
from edgeseg.stream.source.deliver import deliver
from edgeseg.verdict.verdict import BROKEN_FRAME, PARTIAL_FRAME

FOURCCS = frozenset({"MJPG", "mjpg", "mjpe", "JPEG", "jpeg"})
JPEG_PATH = "JPEGs, decoded into the slots"
DECODED: frozenset[FrameFormat] = frozenset({"bgr", "rgb", "gray"})


class BrokenFrame(Exception):
    """A frame arrived that is damaged or incomplete; str() is the reason."""

    @property
    def fault(self) -> str:
        """What its verdict says: a part of the frame is missing, or anything else."""
        text = str(self)
        partial = text.startswith("premature end") or "expected" in text
        return PARTIAL_FRAME if partial else BROKEN_FRAME


def fourcc(capture: cv2.VideoCapture) -> str:
    """Return the four letters of the pixel format or codec, empty if it is unknown."""
    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    return code.to_bytes(4, "little").decode("ascii", "replace") if 0 < code < 1 << 32 else ""


def take_packets(capture: cv2.VideoCapture, driver: int) -> bool:
    """Let an opened capture of MJPEG deliver JPEGs; it may refuse. Returns whether it is MJPEG."""
    if fourcc(capture) not in FOURCCS:
        return False
    if driver == cv2.CAP_FFMPEG:
        capture.set(cv2.CAP_PROP_FORMAT, -1)
    elif driver == cv2.CAP_V4L2:
        capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
    return True


def decode_jpeg_frame(jpeg: bytes, frame: Frame, expected: tuple[int, int] | None = None) -> None:
    """Decode a JPEG into `frame.image`: in the slot's colors if it has any, else as BGR.

    A large JPEG that is scaled to the slot afterwards is decoded at a fraction of its size.
    BrokenFrame: it is not a whole image, or not of the expected (height, width), as one field of an
    interlaced video, which has half of the height.
    """
    slot, kind = frame.slot_image, frame.slot_format
    try:
        size = camera_jpeg_size(jpeg)
        if expected and size != expected:
            raise BrokenFrame(f"{size[1]}x{size[0]}, expected {expected[1]}x{expected[0]}")
        frame.sent_size, frame.writes = size, 1
        if slot is not None and size == picture_size(kind, slot.shape):
            if kind in DECODED:
                decode_into(jpeg, kind, frame.buffer(kind, slot.shape))
            else:
                decode_into(jpeg, "bgr", frame.buffer("bgr", (*size, 3)))
                deliver(frame, frame.image, "bgr", writes=1)
            return
        if slot is not None:
            size = reduced(size, picture_size(kind, slot.shape))
        colors: FrameFormat = kind if kind in DECODED else "bgr"
        decode_into(jpeg, colors, frame.buffer(colors, frame_shape(colors, *size)))
    except Damaged as error:
        raise BrokenFrame(str(error)) from error


def log_broken(source: Source, error: BrokenFrame) -> None:
    """Log the 1st, 10th, 100th, ... broken frame of a source, before it is counted."""
    count = source.broken + 1
    if str(count).strip("0") == "1":
        total = f", the {count}th" if count > 1 else ""
        log.warning(f"{source.name}: broken frame ({error}){total}; not judged")
