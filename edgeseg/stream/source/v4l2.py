"""USB and other local cameras through OpenCV (V4L2 on Linux): `0`, `/dev/video0`."""

import sys
from functools import partial
from pathlib import Path

import cv2

from edgeseg.config import CameraFormat
from edgeseg.errors import SourceError
from edgeseg.opencv import silence
from edgeseg.stream.source.camera import (
    TRY_WITHOUT,
    Camera,
    CameraOptions,
    CaptureConnection,
    Mode,
)

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

    max_broken = 5  # one or two follow a USB glitch

    def __init__(self, address: int | str, requested: Mode) -> None:
        silence(cv2)
        driver = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
        capture = cv2.VideoCapture(address, driver)
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
        super().__init__(capture)
        self.mode = Mode(self.mode.size, self.mode.fps, _format(capture))
        self.note = requested.note(self.mode)


def _format(capture: cv2.VideoCapture) -> str | None:
    """Return the name of the pixel format, or its FOURCC if it has no name here."""
    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    letters = code.to_bytes(4, "little").decode("ascii", "replace") if code > 0 else ""
    return next((name for name, known in CODES.items() if known == letters), letters or None)


def _unavailable(address: int | str) -> SourceError:
    """Distinguish a missing camera from one that cannot be opened."""
    node = Path(f"/dev/video{address}" if isinstance(address, int) else address)
    if node.exists():
        return SourceError(
            f"cannot open camera {node}: it is in use by another program, this user has no "
            "permission, or it is not a capture device.",
            remedy=f"close the other program, or: sudo usermod -aG video $USER; or {TRY_WITHOUT}",
            code="source/camera-busy",
        )
    present = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*")))
    found = f" (found {present or 'no /dev/video*'})" if sys.platform == "linux" else ""
    return SourceError(
        f"camera not found: {address}{found}.",
        remedy=f"connect it, or choose another: --camera 1; or {TRY_WITHOUT}",
        code="source/camera-missing",
    )
