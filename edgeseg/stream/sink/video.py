"""A video file of the overlays."""

import os
from pathlib import Path

import cv2

from edgeseg.errors import SinkError
from edgeseg.opencv import silence
from edgeseg.stream.sink.base import FrameSink, Result, make_parent
from edgeseg.stream.sink.overlay import zoom

# H.264 plays in browsers, but few OpenCV packages include it; all of them include MPEG-4.
CODECS = {
    ".mp4": ("avc1", "mp4v"),
    ".mov": ("avc1", "mp4v"),
    ".mkv": ("avc1", "mp4v"),
    ".avi": ("MJPG",),
}


class VideoSink(FrameSink):
    """A video at the graph's frame size, or a multiple of it for small frames.

    It is written under a temporary name and renamed when it is complete. The video of a live stream
    plays in real time: where frames were dropped, the last image is repeated.
    """

    def __init__(self, path: Path, *, size: tuple[int, int], fps: float, live: bool) -> None:
        """Open the file; size: (height, width) of the graph's frames."""
        codecs = CODECS.get(path.suffix.lower())
        if codecs is None:
            raise SinkError(
                f"unsupported video format: {path} (expected {', '.join(CODECS)}).",
                remedy=f"--out {path.with_suffix('.mp4')}",
                code="sink/unsupported-format",
            )
        factor = zoom(*size)
        self._size = (size[0] * factor, size[1] * factor)
        self._path, self._fps, self._live = path, fps, live
        self._part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
        self._writer = self._open(codecs)
        self._images = 0
        self._lag = 0.0  # images by which the video is behind real time
        self._last: float | None = None

    def _open(self, codecs: tuple[str, ...]) -> cv2.VideoWriter:
        silence(cv2)
        make_parent(self._path)
        height, width = self._size
        for codec in codecs:
            code = cv2.VideoWriter.fourcc(*codec)
            writer = cv2.VideoWriter(str(self._part), code, self._fps, (width, height))
            if writer.isOpened():
                return writer
            writer.release()
        self._part.unlink(missing_ok=True)
        raise SinkError(
            f"cannot open {self._path} for {width}x{height} video: the folder is not writable, or "
            f"this OpenCV has none of the codecs {', '.join(codecs)}.",
            remedy="check the folder, or: pip install --force-reinstall opencv-python",
            code="sink/cannot-open-video",
        )

    def write(self, result: Result) -> bool:
        for _ in range(self._repeats(result.record.arrival)):
            self._writer.write(result.overlay)
            self._images += 1
        return True

    def _repeats(self, arrival: float) -> int:
        """Return how often an image is written; an outage is cut to one second."""
        if not self._live:
            return 1
        gap = 0.0 if self._last is None else max(arrival - self._last, 0.0)
        self._last = arrival
        self._lag = min(self._lag + gap * self._fps, max(self._fps, 1.0))
        repeats = max(int(self._lag), 1)
        self._lag -= repeats
        return repeats

    def close(self) -> None:
        self._writer.release()
        if not self._images:
            self._part.unlink(missing_ok=True)
            return
        # OpenCV does not report a full disk; a file without its index cannot be opened.
        if not cv2.VideoCapture(str(self._part)).isOpened():
            raise SinkError(
                f"the video {self._part} is not readable after {self._images} images.",
                remedy=f"check the free space: df -h '{self._path.parent}'",
                code="sink/unreadable-video",
            )
        self._part.replace(self._path)
