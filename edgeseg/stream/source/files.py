"""Video files, folders of images and single images. They end, and no frame of them is dropped."""

import threading
from pathlib import Path

import cv2

from edgeseg.data.images import read_image
from edgeseg.data.listing import SUFFIXES, walk_images
from edgeseg.errors import DataError, SourceError
from edgeseg.files import quoted, shown
from edgeseg.log import log
from edgeseg.packages.opencv import openable, silence
from edgeseg.stream.source.base import CLOSE_SECONDS, Frame, Source
from edgeseg.stream.source.deliver import deliver
from edgeseg.stream.source.mjpeg import (
    FOURCCS,
    JPEG_PATH,
    BrokenFrame,
    fourcc,
    log_broken,
    take_packets,
)
from edgeseg.stream.source.retrieve import VIDEO_PATH, VIDEO_WRITES, Retriever
from edgeseg.verdict.verdict import DAMAGED

FOLDER_FPS = 5.0  # of a video made from single images
MIN_SHARE = 0.98  # of the frames in the header, which is an estimate; fewer mean a damaged file


def open_path(path: Path, bit_depth: int = 16) -> Source | None:
    """Open a folder or a file; None if neither exists. bit_depth: of the model's card."""
    if path.is_dir():
        return ImageFiles(shown(path), walk_images(path), bit_depth)
    if path.suffix.lower() in SUFFIXES and path.is_file():
        return ImageFiles(shown(path), [path], bit_depth)
    return VideoFile(path) if path.is_file() else None


class VideoFile(Source):
    """Every frame of a video."""

    def __init__(self, path: Path) -> None:
        silence(cv2)
        self._path, self._reading = path, threading.Lock()
        with openable(path) as name:
            self._capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
            if not self._capture.isOpened():  # an OpenCV without FFmpeg
                self._capture = cv2.VideoCapture(name)
        if not self._capture.isOpened():
            raise self._unreadable()
        jpegs = take_packets(self._capture, cv2.CAP_FFMPEG)
        self._retriever = Retriever(self._capture, writes=VIDEO_WRITES, jpeg_size=self._jpeg_size())
        self._expected = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._count = self._whole = 0
        super().__init__(shown(path), self._capture.get(cv2.CAP_PROP_FPS) or FOLDER_FPS)
        self.path = JPEG_PATH if jpegs else VIDEO_PATH

    def read_into(self, frame: Frame) -> bool:
        """Read the next frame; SourceError at the end if none was whole."""
        with self._reading:
            if self._capture.grab():
                self._count += 1
                try:
                    self._retriever.read_into(frame)
                    self._whole += 1
                except BrokenFrame as error:
                    log_broken(self, error)
                    self.broken += 1
                    frame.fault = error.fault
                return True
            self._end()
        return False

    def _jpeg_size(self) -> tuple[int, int] | None:
        """Return the (height, width) of the frames if they are JPEGs."""
        if fourcc(self._capture) not in FOURCCS:
            return None
        height, width = cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH
        return int(self._capture.get(height)), int(self._capture.get(width))

    def _end(self) -> None:
        """Count the frames that FFmpeg could not decode and skipped."""
        if self._count < MIN_SHARE * self._expected:
            log.warning(
                f"{self.name}: only {self._count} of {self._expected:.0f} frames could be decoded"
            )
            self.broken += round(self._expected) - self._count
        self._expected = 0.0
        if not self._whole:
            raise self._unreadable()

    def _unreadable(self) -> SourceError:
        return SourceError(
            f"cannot read video {shown(self._path)}: it is damaged, truncated, or its format is "
            "not supported by this OpenCV.",
            remedy=f"ffmpeg -i {quoted(self._path)} -c:v mpeg4 -q:v 2 repaired.mp4",
            code="source/unreadable-video",
        )

    def close(self) -> None:
        # A read that is blocked by the disk keeps the decoder until the process exits.
        if self._reading.acquire(timeout=CLOSE_SECONDS):
            self._capture.release()
            self._reading.release()


class ImageFiles(Source):
    """Images of any sizes, one after the other. One that cannot be read is listed, too."""

    path = "image files, decoded and copied"

    def __init__(self, name: str, paths: list[Path], bit_depth: int = 16) -> None:
        super().__init__(name, FOLDER_FPS)
        self._bit_depth = bit_depth
        self._paths, self._count = iter(paths), len(paths)

    def read_into(self, frame: Frame) -> bool:
        """Read the next image; DataError at the end if none of them can be read."""
        path = next(self._paths, None)
        if path is None:
            self.damaged.refuse_all(self._count)
            return False
        frame.label = str(path)
        try:
            image = read_image(path, self._bit_depth)
        except DataError as error:
            self.broken += 1
            self.damaged.add(path, error)
            frame.fault = DAMAGED
            return True
        deliver(frame, image, "rgb", writes=1)
        return True
