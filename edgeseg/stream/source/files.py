"""Sources that end: a video, a folder of images, one image. Nothing in them is dropped."""

import threading
from pathlib import Path

import cv2
import numpy as np

from edgeseg.data.images import SUFFIXES, read_image, walk_images
from edgeseg.errors import SourceError
from edgeseg.log import log
from edgeseg.stream.pipeline.ring import Frame, Source
from edgeseg.stream.source.reconnect import CLOSE_SECONDS, quiet

FOLDER_FPS = 5.0  # of a video made from single images
HONEST_SHARE = 0.98  # containers estimate their number of frames; a damaged file misses more


def open_path(path: Path) -> Source | None:
    """Open a folder or a file; None when there is neither."""
    if path.is_dir():
        paths = walk_images(path)
        if not paths:
            raise SourceError(
                f"{path} holds no image.", remedy="put PNG, JPEG, BMP or TIFF files there"
            )
        return ImageFiles(str(path), paths)
    if path.suffix.lower() in SUFFIXES and path.is_file():
        return ImageFiles(str(path), [path])
    return VideoFile(path) if path.is_file() else None


class VideoFile(Source):
    """Every frame of a video."""

    def __init__(self, path: Path) -> None:
        quiet()
        self._path = path
        self._reading = threading.Lock()
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise SourceError(
                f"{path} cannot be read as a video: it is damaged, cut off, or of a format that "
                "this OpenCV does not know.",
                remedy=f"ffmpeg -i '{path}' -c:v mpeg4 -q:v 2 repaired.mp4",
            )
        self._promised = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._count = 0
        super().__init__(str(path), self._capture.get(cv2.CAP_PROP_FPS) or FOLDER_FPS)

    def read_into(self, frame: Frame) -> bool:
        with self._reading:
            done, image = self._capture.read(frame.image)
        if done:
            frame.image = image  # type: ignore[assignment]  # the stubs know no type of pixel
            self._count += 1
        elif self._count < HONEST_SHARE * self._promised:
            log.info(
                f"{self._path} ended after {self._count} frames; its header promises "
                f"{self._promised:.0f}: the rest cannot be decoded"
            )
        return done

    def close(self) -> None:
        # A disk that hangs in a read keeps the decoder; the end of the process frees it.
        if self._reading.acquire(timeout=CLOSE_SECONDS):
            self._capture.release()
            self._reading.release()


class ImageFiles(Source):
    """Images one after the other; sizes may be mixed."""

    def __init__(self, name: str, paths: list[Path]) -> None:
        super().__init__(name, FOLDER_FPS)
        self._paths = iter(paths)

    def read_into(self, frame: Frame) -> bool:
        path = next(self._paths, None)
        if path is None:
            return False
        image = read_image(path)
        if frame.image.shape != image.shape:
            frame.image = np.empty_like(image)
        cv2.cvtColor(image, cv2.COLOR_RGB2BGR, dst=frame.image)
        frame.label = str(path)
        return True
