"""USB and other local cameras through OpenCV (V4L2 on Linux): `0`, `/dev/video0`."""

import os
import sys
from functools import partial
from pathlib import Path

import cv2

from edgeseg.config import CameraFormat
from edgeseg.errors import SourceError
from edgeseg.files import natural_key, shown
from edgeseg.opencv import openable, silence
from edgeseg.stream.source.camera import (
    TRY_WITHOUT,
    Camera,
    CameraOptions,
    CaptureConnection,
    Mode,
)
from edgeseg.stream.source.mjpeg import fourcc, take_packets

DEVICES = Path("/dev")
MOST_CAMERAS = 255  # OpenCV takes a larger number for a number and a driver
# FOURCC codes of V4L2; OpenCV converts each of these formats to BGR.
CODES: dict[CameraFormat, str] = {
    "mjpeg": "MJPG",
    "yuyv": "YUYV",
    "uyvy": "UYVY",
    "nv12": "NV12",
    "gray": "GREY",
}


def open_v4l2(address: int | str, options: CameraOptions) -> Camera:
    """Open a camera by its number or its device path."""
    mode = options.requested.or_size(options.size)
    return options.camera(f"camera {address}", partial(V4L2Connection, address, mode))


class V4L2Connection(CaptureConnection):
    """A local camera, opened in the requested mode.

    A camera that does not support the mode delivers another one, and its frames are resized later.
    """

    max_missing = 5  # one or two follow a USB glitch

    def __init__(self, address: int | str, requested: Mode) -> None:
        silence(cv2)
        capture = _capture(address)
        if not capture.isOpened():
            raise _unavailable(address)
        if requested.format:  # first: sizes and rates depend on it
            code = next(code for name, code in CODES.items() if name == requested.format)
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*code))
        if requested.size:
            height, width = requested.size
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        if requested.fps:
            capture.set(cv2.CAP_PROP_FPS, requested.fps)
        take_packets(capture, cv2.CAP_V4L2)
        super().__init__(capture)
        self.mode = Mode(self.mode.size, self.mode.fps, _format(capture))
        self.note = requested.note(self.mode)


def _capture(address: int | str) -> cv2.VideoCapture:
    driver = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
    if isinstance(address, str):
        with openable(Path(address)) as name:
            return cv2.VideoCapture(name, driver)
    if address > MOST_CAMERAS:
        raise _unavailable(address)
    return cv2.VideoCapture(address, driver)


def _format(capture: cv2.VideoCapture) -> str | None:
    """Return the name of the pixel format, or its FOURCC if it has no name here."""
    letters = fourcc(capture)
    return next((name for name, known in CODES.items() if known == letters), letters or None)


def _unavailable(address: int | str) -> SourceError:
    """Distinguish a missing camera from one that cannot be opened."""
    node = Path(f"/dev/video{address}" if isinstance(address, int) else address)
    if os.path.lexists(node):
        return SourceError(
            f"cannot open camera {shown(node)}: it is in use by another program, this user has no "
            "permission, or it is not a capture device.",
            remedy=f"close the other program, or: sudo usermod -aG video $USER; or {TRY_WITHOUT}",
            code="source/camera-busy",
        )
    present = sorted(DEVICES.glob("video[0-9]*"), key=natural_key)
    found = f" (found {', '.join(map(str, present)) or 'no /dev/video*'})"
    other = f", or choose another: --camera {present[0].name[5:]}" if present else ""
    return SourceError(
        f"camera not found: {shown(str(address))}{found if sys.platform == 'linux' else ''}.",
        remedy=f"connect it{other}; or {TRY_WITHOUT}",
        code="source/camera-missing",
    )
