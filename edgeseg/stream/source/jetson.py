"""Cameras through jetson-utils: decoded into GPU memory by the Jetson, copied by the GPU.

    jetson+csi://0   jetson+v4l2:///dev/video0   jetson+rtsp://host/path

jetson-utils (github.com/dusty-nv/jetson-utils) hands over the address of each frame; the GPU
copies it into the slot, and no CPU core touches a pixel. Its frames are RGB: export with `--format
rgb`, and in the size of the camera. Tested with a stand-in on the simulated driver; not run on a
Jetson.
"""

from functools import partial
from importlib import import_module
from typing import Any

from edgeseg.addresses import public
from edgeseg.cuda.driver import open_cuda
from edgeseg.cuda.foreign import ForeignFrames
from edgeseg.errors import MissingExtra, SourceError
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import (
    DEFAULT_FPS,
    TRY_WITHOUT,
    Camera,
    CameraOptions,
    LostConnection,
    Mode,
)

PREFIX = "jetson+"
SCHEMES = ("csi", "v4l2", "rtsp")
TIMEOUT_MS = 1000


def open_jetson(address: str, options: CameraOptions) -> Camera:
    """Open `jetson+ADDRESS`; its name is the address without the password."""
    uri, name = address[len(PREFIX) :], public(address)
    if uri.partition("://")[0] not in SCHEMES:
        raise SourceError(
            f"unsupported source: '{name}' (expected {', '.join(SCHEMES)} after {PREFIX}).",
            remedy="edgeseg stream --camera jetson+csi://0",
            code="source/unsupported",
        )
    return options.camera(name, partial(JetsonConnection, name, uri, options))


class JetsonConnection:
    """A videoSource of jetson-utils."""

    max_missing = 3  # times TIMEOUT_MS
    skipped = driver_drops = 0  # unknown
    decoding = None
    path = "frames in GPU memory (jetson-utils), copied into the slots by the GPU"

    def __init__(self, name: str, uri: str, options: CameraOptions) -> None:
        library, requested = _jetson_utils(), options.requested.or_size(options.size)
        self._cuda = open_cuda()
        try:
            self._source = library.videoSource(uri, argv=_arguments(requested))
            with self._cuda.current():
                self._stream, self._foreign = self._cuda.stream(), ForeignFrames(self._cuda)
        except Exception as error:  # jetson-utils raises no other class
            self._cuda.close()
            raise SourceError(
                f"cannot start {name}: {error}.",
                remedy=f"to see the cause: video-viewer of jetson-utils; or {TRY_WITHOUT}",
                code="source/pipeline-failed",
            ) from error
        self.fps = float(self._source.GetFrameRate()) or DEFAULT_FPS
        size = self._source.GetHeight(), self._source.GetWidth()
        self.note = requested.note(Mode(size, self.fps, options.requested.format))

    def read_into(self, frame: Frame) -> bool:
        try:
            image = self._source.Capture(format="rgb8", timeout=TIMEOUT_MS)
        except Exception:  # of a timeout, or of a camera that is gone
            image = None
        if image is None:
            if not self._source.IsStreaming():
                raise LostConnection
            return False
        frame.stamp()
        with self._cuda.current():
            # Not named by jetson-utils: the default stream, in which it converts to RGB.
            given = self._foreign.borrow(image, self._stream)
            buffer = frame.buffer("rgb", given.shape)
            self._foreign.copy(buffer.ctypes.data, given, self._stream)
            self._stream.synchronize()  # jetson-utils reuses the memory
        frame.writes = 0
        return True

    def close(self) -> None:
        self._source.Close()
        self._cuda.close()


def _arguments(mode: Mode) -> list[str]:
    found = ["edgeseg"]  # the name of a program comes first
    if mode.size is not None:
        found += [f"--input-width={mode.size[1]}", f"--input-height={mode.size[0]}"]
    return found + ([f"--input-rate={mode.fps:g}"] if mode.fps else [])


def _jetson_utils() -> Any:
    try:
        return import_module("jetson_utils")
    except ImportError as error:
        raise MissingExtra(
            f"package jetson_utils is not installed: {error}",
            remedy="build it as github.com/dusty-nv/jetson-utils describes, or read the camera "
            "through OpenCV: edgeseg stream --camera csi://0",
            code="extra/missing",
        ) from error
