"""Connections to cameras through OpenCV: USB ones, network streams and GStreamer pipelines.

A frame's arrival is stamped between grab and retrieve. A USB camera's frame is decoded after it; a
network stream's and a pipeline's before it, so what they take to decode is not in the latency.
"""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np

from edgeseg.addresses import public
from edgeseg.errors import SourceError
from edgeseg.opencv import GET_GSTREAMER, NO_GSTREAMER, has_gstreamer
from edgeseg.stream.pipeline.ring import Frame
from edgeseg.stream.source.mode import CODES, Mode
from edgeseg.stream.source.reconnect import quiet

USUAL_FPS = 30.0
HIGHEST_FPS = 1000.0  # a network stream without a rate reports its clock, 90000
BROKEN_FRAMES = 5  # in a row: one or two follow a USB glitch, more of them a lost camera
OPEN_SECONDS, READ_SECONDS = 10.0, 5.0
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
# TCP: a lost UDP packet breaks the picture until the next key frame. nobuffer: start at the newest
# frame, not at those read to find out what is sent.
LOW_LATENCY = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay|max_delay;0"
FFMPEG_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
TRY_WITHOUT = "edgeseg stream --source test://640x480@30 needs no camera"


class CaptureDevice:
    """Frames of an opened cv2.VideoCapture."""

    patience = 1  # these backends wait and repeat by themselves; no frame means a lost connection

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        rate = capture.get(cv2.CAP_PROP_FPS)
        known = 0.0 < rate <= HIGHEST_FPS
        self.fps = rate if known else USUAL_FPS
        height, width = (int(capture.get(p)) for p in (_HEIGHT, _WIDTH))
        self.mode = Mode((height, width), rate if known else None)
        self.note = f"delivers {self.mode}"

    def read_into(self, frame: Frame) -> bool:
        if not self._capture.grab():
            return False
        frame.stamp()  # before the frame is decoded: that time is part of the latency
        try:
            done, image = self._capture.retrieve(frame.image)
        except cv2.error:  # a damaged JPEG
            return False
        if not done or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            return False
        frame.image = image  # type: ignore[assignment]  # the stubs know no type of pixel
        return True

    def close(self) -> None:
        self._capture.release()


class OpenCVDevice(CaptureDevice):
    """A camera that the system knows: by its index, or by its path such as /dev/video0."""

    patience = BROKEN_FRAMES

    def __init__(self, address: int | str, wish: Mode) -> None:
        """Open the camera and ask it for a mode.

        Few cameras have every size; they answer with one of their own, which the loop resizes.
        """
        quiet()
        driver = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
        capture = cv2.VideoCapture(address, driver)
        if not capture.isOpened():
            raise _missing(address)
        if wish.format:  # first: it decides which sizes and rates there are
            code = next(code for name, code in CODES.items() if name == wish.format)
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*code))
        if wish.size:
            height, width = wish.size
            capture.set(_WIDTH, width)
            capture.set(_HEIGHT, height)
        if wish.fps:
            capture.set(cv2.CAP_PROP_FPS, wish.fps)
        super().__init__(capture)
        self.mode = Mode(self.mode.size, self.mode.fps, _format(capture))
        self.note = wish.note(self.mode)


class NetworkDevice(CaptureDevice):
    """A network camera, RTSP or MJPEG over HTTP, that OpenCV's FFmpeg reads and decodes."""

    def __init__(self, url: str) -> None:
        quiet()
        parameters = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(OPEN_SECONDS * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(READ_SECONDS * 1000)),
            *(cv2.CAP_PROP_N_THREADS, 1),  # FFmpeg's frame threads hold a frame back each
        ]
        with _low_latency():
            capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, parameters)
        if not capture.isOpened():
            raise _unreachable(url)
        if capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
            capture.release()
            raise SourceError(
                f"{public(url)} is a file; a camera's stream was expected.",
                remedy="download it, then: edgeseg stream --source FILE",
            )
        super().__init__(capture)


class PipelineDevice(CaptureDevice):
    """A GStreamer pipeline that ends in an appsink."""

    def __init__(self, name: str, pipeline: str, wish: Mode | None = None) -> None:
        """Start the pipeline; `wish` is what it asks a camera for, to be said with the answer."""
        need_gstreamer(name)
        quiet()
        parameters: list[int] = []
        if _version() >= (4, 7):  # OpenCV learned timeouts here; before, a lost camera may hang
            parameters += [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(OPEN_SECONDS * 1000)]
            parameters += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(READ_SECONDS * 1000)]
        capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER, parameters)
        if not capture.isOpened():
            shown = public(pipeline.partition(" ! appsink")[0])
            raise SourceError(
                f"{name} does not open: an element of its pipeline is not installed, its camera "
                "is not there or held by another program, or two elements do not fit together.",
                remedy=f"gst-launch-1.0 -v {shown} ! fakesink   # says which",
            )
        super().__init__(capture)
        if wish:
            self.note = wish.note(self.mode)


def need_gstreamer(name: str) -> None:
    """Raise SourceError where OpenCV was built without GStreamer."""
    if not has_gstreamer(cv2):
        raise SourceError(f"{name} cannot be opened: {NO_GSTREAMER}.", remedy=GET_GSTREAMER)


_WIDTH, _HEIGHT = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT


def _format(capture: cv2.VideoCapture) -> str | None:
    """Return the name of the format that a camera sends; its four letters if it has none."""
    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    letters = code.to_bytes(4, "little").decode("ascii", "replace") if code > 0 else ""
    return next((name for name, known in CODES.items() if known == letters), letters or None)


def _version() -> tuple[int, int]:
    major, minor, *_ = cv2.__version__.split(".")
    return int(major), int(minor)


@contextmanager
def _low_latency() -> Iterator[None]:
    """Set FFmpeg's options while a stream opens; those of the user stay."""
    if FFMPEG_OPTIONS in os.environ:
        yield
        return
    os.environ[FFMPEG_OPTIONS] = LOW_LATENCY
    try:
        yield
    finally:
        del os.environ[FFMPEG_OPTIONS]


def _unreachable(url: str) -> SourceError:
    """Tell a host that does not answer from one that does not deliver."""
    shown = public(url)
    with suppress(ValueError):  # not a port
        parts = urlsplit(shown)
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme.lower()]
        try:
            socket.create_connection((host, port), OPEN_SECONDS / 4).close()
        except OSError as error:
            return SourceError(
                f"{shown} does not answer: {error.strerror or error}.",
                remedy=f"check its power, its cable and its address; {TRY_WITHOUT}",
            )
    return SourceError(
        f"{shown} delivers no video: the path, the name or the password is wrong, or "
        "this OpenCV does not know its codec.",
        remedy="rtsp://USER:PASSWORD@HOST/PATH as in the camera's manual; in a password, write "
        "@ as %40, / as %2F and ? as %3F",
    )


def _missing(address: int | str) -> SourceError:
    """Tell a camera that is not there from one that does not open."""
    node = Path(f"/dev/video{address}" if isinstance(address, int) else address)
    present = sorted(str(path) for path in Path("/dev").glob("video*"))
    if node.exists():
        return SourceError(
            f"The camera {node} is there and does not open: another program holds it, this user "
            "may not read it, or it is no capture device.",
            remedy=f"close the other program, or: sudo usermod -aG video $USER; {TRY_WITHOUT}",
        )
    found = f"has {', '.join(present)}" if present else "has no /dev/video*"
    if sys.platform != "linux":
        found = "shows none under that number"
    return SourceError(
        f"There is no camera {address}: this machine {found}.",
        remedy=f"plug it in, or name another: --camera 1; {TRY_WITHOUT}",
    )
