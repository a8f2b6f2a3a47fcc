"""Encoders of a video: PyAV, or OpenCV where PyAV is not installed.

           codec                    after the process was killed
PyAV       H.264; .avi: MJPEG       plays, up to the last second
OpenCV     MPEG-4; .avi: MJPEG      .mp4 and .mov do not play, .mkv and .avi play
"""

import errno
import os
import shutil
from abc import abstractmethod
from contextlib import suppress
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import cv2

from edgeseg.closing import Closing
from edgeseg.data.images import Image
from edgeseg.packages.opencv import openable, silence

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi"}
FOURCCS = {".mp4": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
ROOM = 8 << 20  # bytes that OpenCV's videos leave on the disk: they need their index to play
# An index at the end would be lost with the process: each second is a fragment of its own.
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
H264 = {"preset": "veryfast", "tune": "zerolatency", "crf": "23"}  # no image waits in the encoder
MJPEG = {"flags": "+qscale", "global_quality": str(3 * 118)}  # quality 3 in FFmpeg's unit


class Encoder(Closing):
    """Encodes BGR images of one size into an open file."""

    codec: str

    @abstractmethod
    def write(self, image: Image) -> None:
        """Encode an image; OSError if the disk is full or fails."""


class PyAvEncoder(Encoder):
    """H.264 in fragments of a second, or MJPEG in AVI."""

    def __init__(self, file: BinaryIO, suffix: str, size: tuple[int, int], fps: float) -> None:
        """size: (height, width), even; ImportError or ValueError if PyAV cannot do it."""
        self._av = av = import_module("av")
        h264 = suffix != ".avi"
        name = "libx264" if h264 else "mjpeg"
        if name not in av.codecs_available:
            raise ValueError(f"this PyAV has no {name}")
        self.codec = "H.264" if h264 else "MJPEG"
        options = FRAGMENTS if FORMATS[suffix] in ("mp4", "mov") else {"flush_packets": "1"}
        self._file = _WholeWrites(file)
        self._container = av.open(self._file, "w", format=FORMATS[suffix], options=options)
        stream: Any = self._container.add_stream(
            name,
            rate=Fraction(fps).limit_denominator(1000),
            options=dict(H264 if h264 else MJPEG),
        )
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p" if h264 else "yuvj420p"
        stream.codec_context.gop_size = max(round(fps), 1)
        stream.codec_context.thread_count = 2
        self._stream = stream

    def write(self, image: Image) -> None:
        self._encode(self._av.VideoFrame.from_ndarray(image, format="bgr24"))

    def _encode(self, frame: Any) -> None:
        self._file.mark()
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except self._av.error.FFmpegError as error:
            raise OSError(error.errno, error.strerror) from error

    def close(self) -> None:
        """Finish the file; OSError if its end could not be written."""
        try:
            self._encode(None)
        finally:
            with suppress(OSError, self._av.error.FFmpegError):
                self._container.close()


class OpenCvEncoder(Encoder):
    """What every OpenCV package can write."""

    def __init__(self, path: Path, suffix: str, size: tuple[int, int], fps: float) -> None:
        """size: (height, width), even; ValueError if this OpenCV cannot write the format."""
        silence(cv2)
        self._folder, self._fps, self._images = path.parent, fps, 0
        self._check_room()
        code = cv2.VideoWriter.fourcc(*FOURCCS[suffix])
        with openable(path) as name:
            self._writer = cv2.VideoWriter(name, code, fps, (size[1], size[0]))
        if not self._writer.isOpened():
            raise ValueError(f"this OpenCV has no codec {FOURCCS[suffix]}")
        self.codec = "MJPEG" if FOURCCS[suffix] == "MJPG" else "MPEG-4"

    def write(self, image: Image) -> None:
        if self._images % max(round(self._fps), 1) == 0:  # once a second
            self._check_room()
        self._images += 1
        self._writer.write(image)

    def _check_room(self) -> None:
        """Raise before the disk is full: OpenCV's writer does not report it."""
        if shutil.disk_usage(self._folder).free < ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        self._writer.release()


class _WholeWrites:
    """A file for PyAV, which takes a short write for a whole one.

    After a failure it ends with the last whole image, and is not written any more.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell
        self._end = 0
        self._error: OSError | None = None

    def mark(self) -> None:
        """Note that what has been written is whole."""
        self._end = os.fstat(self._file.fileno()).st_size

    def write(self, data: bytes) -> int:
        if self._error is not None:
            raise self._error
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._error = error
            self._file.truncate(self._end)
            raise
        return len(data)


def open_encoder(
    file: BinaryIO, path: Path, suffix: str, size: tuple[int, int], fps: float
) -> Encoder:
    """Open PyAV's encoder, else OpenCV's, which opens `path` again. OSError, ValueError."""
    with suppress(ImportError, ValueError):
        return PyAvEncoder(file, suffix, size, fps)
    return OpenCvEncoder(path, suffix, size, fps)
