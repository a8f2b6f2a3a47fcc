"""Local cameras through OpenCV: on other systems than Linux, and of drivers that are no V4L2."""

import sys
from collections.abc import Callable
from pathlib import Path

import cv2

from edgeseg.errors import SourceError
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, FrameFormat
from edgeseg.packages.opencv import openable, silence
from edgeseg.stream.source.camera import CaptureConnection, Mode
from edgeseg.stream.source.mjpeg import JPEG_PATH, fourcc, take_packets
from edgeseg.stream.source.retrieve import CAMERA_WRITES

MOST_CAMERAS = 255  # OpenCV takes a larger number for a number and a driver
# OpenCV converts each of these formats to BGR.
CODES: dict[str, str] = {"mjpeg": "MJPG"} | {
    kind: form.fourcc for kind, form in PIXEL_FORMATS.items()
}


class OpenCvConnection(CaptureConnection):
    """A local camera, opened in the requested mode.

    A camera that does not support the mode delivers another one, and its frames are resized later.
    Frames in the graph's own format are not converted, where the driver allows that.
    """

    max_missing = 5  # one or two follow a USB glitch

    def __init__(
        self,
        address: int | str,
        requested: Mode,
        graph: FrameFormat,
        unavailable: Callable[[], SourceError],
    ) -> None:
        silence(cv2)
        capture = _capture(address)
        if capture is None or not capture.isOpened():
            raise unavailable()
        if requested.format in CODES:  # first: sizes and rates depend on it
            code = CODES[requested.format]
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*code))
        if requested.size:
            height, width = requested.size
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        if requested.fps:
            capture.set(cv2.CAP_PROP_FPS, requested.fps)
        letters = fourcc(capture)
        name = next((name for name, known in CODES.items() if known == letters), letters or None)
        jpegs = take_packets(capture, cv2.CAP_V4L2)
        raw = not jpegs and name == graph != "bgr"
        raw = raw and bool(capture.set(cv2.CAP_PROP_CONVERT_RGB, 0))
        super().__init__(capture, graph if raw else "bgr", writes=CAMERA_WRITES)
        self.mode = Mode(self.mode.size, self.mode.fps, name)
        self.note = requested.note(self.mode)
        if jpegs:
            self.path = JPEG_PATH
        else:
            what = "copied twice" if raw else "converted to bgr and copied"
            self.path = f"{name or 'unknown format'}, {what} by OpenCV"


def _capture(address: int | str) -> cv2.VideoCapture | None:
    driver = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
    if isinstance(address, str):
        with openable(Path(address)) as name:
            return cv2.VideoCapture(name, driver)
    return cv2.VideoCapture(address, driver) if address <= MOST_CAMERAS else None
