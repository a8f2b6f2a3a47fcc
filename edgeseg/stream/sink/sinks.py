"""Where results go: a video, lines of JSON, a window.

A sink opens what it needs when it is made, so that an impossible output is refused before the
first frame, and `close` leaves complete files behind, whatever ended the stream.
"""

import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime, timezone
from math import isfinite
from pathlib import Path

import cv2

from edgeseg.cards import GraphCard
from edgeseg.config import StreamConfig
from edgeseg.errors import SinkError
from edgeseg.log import log
from edgeseg.runtime.base import Closing
from edgeseg.stream.pipeline.results import Record, Result
from edgeseg.stream.pipeline.ring import Source
from edgeseg.stream.sink.overlay import zoom
from edgeseg.stream.source.reconnect import quiet

# H.264 plays in browsers; few OpenCV packages may ship it, and each of them has MPEG-4.
CODECS = {
    ".mp4": ("avc1", "mp4v"),
    ".mov": ("avc1", "mp4v"),
    ".mkv": ("avc1", "mp4v"),
    ".avi": ("MJPG",),
}
QUIT_KEYS = (27, ord("q"))  # Escape


class Sink(Closing, ABC):
    """Takes results with their pictures, one after the other, in the main thread."""

    @abstractmethod
    def write(self, result: Result) -> bool:
        """Take one result, whose arrays are the sink's until it returns; False ends the stream."""

    def idle(self) -> bool:
        """Do what is due while no result comes; False ends the stream."""
        return True


class RecordSink(Closing, ABC):
    """Takes every frame's record, also of those whose pictures nobody had time to show."""

    @abstractmethod
    def write(self, record: Record) -> None:
        """Take one record."""


AnySink = Sink | RecordSink


class VideoSink(Sink):
    """A video of the overlays, at the graph's frame size or, for small frames, a multiple of it.

    It is written under another name and takes its own when it is complete. A live stream's video
    runs at the speed of life: where frames were dropped, the picture stays.
    """

    def __init__(self, path: Path, *, size: tuple[int, int], fps: float, live: bool) -> None:
        """Open the file; size: (height, width) of the graph's frames."""
        codecs = CODECS.get(path.suffix.lower())
        if codecs is None:
            raise SinkError(
                f"{path} has no suffix of a video; one of {', '.join(CODECS)} was expected.",
                remedy=f"--out {path.with_suffix('.mp4')}",
            )
        factor = zoom(*size)
        self._size = (size[0] * factor, size[1] * factor)
        self._path, self._fps, self._live = path, fps, live
        self._part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
        self._writer = self._open(codecs)
        self._pictures = 0
        self._owed = 0.0  # pictures that life is ahead of the video
        self._last: float | None = None

    def _open(self, codecs: tuple[str, ...]) -> cv2.VideoWriter:
        quiet()
        _make_folder(self._path)
        height, width = self._size
        for codec in codecs:
            code = cv2.VideoWriter.fourcc(*codec)
            writer = cv2.VideoWriter(str(self._part), code, self._fps, (width, height))
            if writer.isOpened():
                return writer
            writer.release()
        self._part.unlink(missing_ok=True)
        raise SinkError(
            f"{self._path} cannot be opened for {width}x{height} video: the folder takes no file, "
            f"or this OpenCV has none of the codecs {', '.join(codecs)}.",
            remedy="check the folder, or: pip install --force-reinstall opencv-python",
        )

    def write(self, result: Result) -> bool:
        for _ in range(self._copies(result.record.arrival)):
            self._writer.write(result.overlay)
            self._pictures += 1
        return True

    def _copies(self, arrival: float) -> int:
        """How often a picture is written; an outage is cut to one second."""
        if not self._live:
            return 1
        gap = 0.0 if self._last is None else max(arrival - self._last, 0.0)
        self._last = arrival
        self._owed = min(self._owed + gap * self._fps, max(self._fps, 1.0))
        copies = max(int(self._owed), 1)
        self._owed -= copies
        return copies

    def close(self) -> None:
        self._writer.release()
        if not self._pictures:
            self._part.unlink(missing_ok=True)
            return
        # OpenCV says nothing when the disk is full; a file without its index cannot be opened.
        if not cv2.VideoCapture(str(self._part)).isOpened():
            raise SinkError(
                f"The video {self._part} is not readable after {self._pictures} pictures.",
                remedy=f"check the free space: df -h '{self._path.parent}'",
            )
        self._part.replace(self._path)


class JsonlSink(RecordSink):
    """One line of JSON for each frame; each is handed to the system when it is written."""

    def __init__(self, path: Path) -> None:
        _make_folder(path)
        self._path = path
        try:
            self._file = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise self._refusal(error) from error

    def write(self, record: Record) -> None:
        moment = datetime.fromtimestamp(record.arrival, timezone.utc)
        line = {
            "index": record.index,
            "file": record.label,
            "arrival": moment.isoformat(timespec="milliseconds"),
            "score": round(record.score, 6) if isfinite(record.score) else None,
            "verdict": record.verdict,
            "ms": round(record.milliseconds, 3),
        }
        if record.label is None:
            del line["file"]
        try:
            self._file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise self._refusal(error) from error

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> SinkError:
        return SinkError(
            f"{self._path} cannot be written: {error.strerror}.",
            remedy=f"check its rights and the free space: df -h '{self._path.parent}'",
        )


class WindowSink(Sink):
    """The overlays in a window; q, Escape or closing it ends the stream."""

    def __init__(self, title: str) -> None:
        self._title = title
        if not has_display(os.environ, sys.platform):
            raise SinkError(
                "There is no display here.", remedy="--no-window, with --out FILE.mp4 or --jsonl"
            )
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error as error:
            raise SinkError(
                "This OpenCV was built without windows (opencv-python-headless).",
                remedy="--no-window, or: pip install opencv-python",
            ) from error

    def write(self, result: Result) -> bool:
        cv2.imshow(self._title, result.overlay)
        return self.idle()

    def idle(self) -> bool:
        if cv2.waitKey(1) & 0xFF in QUIT_KEYS:
            return False
        return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        cv2.destroyAllWindows()


def open_sinks(
    config: StreamConfig, card: GraphCard, source: Source, *, stack: ExitStack
) -> list[AnySink]:
    """Open what the configuration names; `stack` closes it, also when a later one is refused."""
    sinks: list[AnySink] = []
    if config.window:
        # First of all: Qt ends the process when a display does not answer.
        try:
            sinks.append(stack.enter_context(WindowSink(f"edgeseg: {source.name}")))
        except SinkError as error:
            log.info(f"{error.problem} The stream runs without a window; --no-window expects none.")
    if config.out is not None:
        size = (card.frame_shape[1], card.frame_shape[2])
        video = VideoSink(config.out, size=size, fps=source.fps, live=source.live)
        sinks.append(stack.enter_context(video))
    if config.jsonl is not None:
        sinks.append(stack.enter_context(JsonlSink(config.jsonl)))
    return sinks


def has_display(environment: Mapping[str, str], platform: str) -> bool:
    """Whether a window can be shown: always on Windows and macOS, on Linux with an X server.

    WAYLAND_DISPLAY alone does not do: the Qt of OpenCV's packages speaks X11 only, and ends the
    process where it finds none. Wayland desktops set DISPLAY as well.
    """
    return platform in ("win32", "darwin") or bool(environment.get("DISPLAY"))


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(
            f"The folder {path.parent} cannot be made: {error.strerror}.",
            remedy="name another place for the output",
        ) from error
