"""MJPEG: its frames are taken from OpenCV as they arrived, and decoded here.

FFmpeg completes a truncated JPEG from the frame before it, OpenCV up to 4.11 with gray, and both
report success. A JPEG is therefore decoded by libjpeg-turbo with its warnings as errors.

    FFmpeg (http cameras, videos)   CAP_PROP_FORMAT = -1 delivers packets
    V4L2                            CAP_PROP_CONVERT_RGB = 0 delivers the buffers of the driver
    GStreamer                       a pipeline that ends in `image/jpeg ! appsink ...`
"""

import cv2
import numpy as np

from edgeseg.data.formats.jpeg import decode_bgr
from edgeseg.data.formats.pillow import Damaged
from edgeseg.log import log
from edgeseg.stream.source.base import Frame, Source
from edgeseg.verdict import BROKEN_FRAME, PARTIAL_FRAME

FOURCCS = frozenset({"MJPG", "mjpg", "mjpe", "JPEG", "jpeg"})


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


def take_packets(capture: cv2.VideoCapture, driver: int) -> None:
    """Let an opened capture of MJPEG deliver JPEGs; it may refuse, and deliver images."""
    if fourcc(capture) in FOURCCS:
        if driver == cv2.CAP_FFMPEG:
            capture.set(cv2.CAP_PROP_FORMAT, -1)
        elif driver == cv2.CAP_V4L2:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)


def retrieve(capture: cv2.VideoCapture, frame: Frame) -> None:
    """Read the grabbed frame into `frame.image`; BrokenFrame if it is not a whole image."""
    try:
        done, image = capture.retrieve(frame.image)
    except cv2.error as error:
        raise BrokenFrame("cannot be decoded") from error
    if not done or image is None:
        raise BrokenFrame("cannot be decoded")
    if image.ndim == 2 and len(image) == 1 and image.dtype == np.uint8:
        try:
            frame.image = decode_bgr(image.tobytes(), frame.image)
        except Damaged as error:
            raise BrokenFrame(str(error)) from error
    elif image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8:
        frame.image = image  # type: ignore[assignment]  # the stubs have no pixel type
    else:
        raise BrokenFrame(f"no BGR image, but {image.dtype} {list(image.shape)}")


def log_broken(source: Source, error: BrokenFrame) -> None:
    """Log the 1st, 10th, 100th, ... broken frame of a source, before it is counted."""
    count = source.broken + 1
    if str(count).strip("0") == "1":
        total = f", the {count}th" if count > 1 else ""
        log.warning(f"{source.name}: broken frame ({error}){total}; not judged")
