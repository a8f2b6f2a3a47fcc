"""A video file of the overlays."""

import os
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path

import cv2

from edgeseg.errors import SinkError
from edgeseg.files import cannot_write, locked, quoted, shown, temporary
from edgeseg.log import log
from edgeseg.packages.extras import install_command
from edgeseg.packages.opencv import openable
from edgeseg.stream.sink.base import FrameSink, Result
from edgeseg.stream.sink.encoder import FORMATS, Encoder, PyAvEncoder, open_encoder
from edgeseg.stream.sink.overlay import zoom


class VideoSink(FrameSink):
    """A video at the graph's frame size, or a multiple of it for small frames.

    It has its name from its first image on, so that a kill leaves what was recorded; a stream
    without images leaves an older file as it was. The video of a live stream plays in real time:
    where frames were dropped, the last image is repeated.
    """

    def __init__(
        self,
        path: Path,
        *,
        size: tuple[int, int],
        fps: float,
        live: bool,
        overwrite: bool = False,
    ) -> None:
        """Open the file; size: (height, width) of the graph's frames.

        WriteError: not writable. SinkError: no video, or (`sink/exists`) there without `overwrite`.
        """
        check_name(path, overwrite=overwrite)
        factor = zoom(*size)
        # H.264 has half as many colors as pixels on each side: both are even.
        self._size = (size[0] * factor & -2, size[1] * factor & -2)
        self._path, self._fps, self._live, self._overwrite = path, fps, live, overwrite
        self._images, self._finished = 0, False
        self._lag = 0.0  # images by which the video is behind real time
        self._last: float | None = None
        with ExitStack() as stack:
            self._encoder = self._open(stack)
            self._files = stack.pop_all()

    def _open(self, stack: ExitStack) -> Encoder:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists():
                with locked(self._path):  # not while another process writes it
                    pass
            held, self._part = temporary(self._path.parent, self._path.suffix)
            stack.callback(os.close, held)
            stack.callback(self._part.unlink, missing_ok=True)
            file = stack.enter_context(self._part.open("rb+", buffering=0))
            return open_encoder(file, self._part, self._path.suffix.lower(), self._size, self._fps)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        except (ValueError, cv2.error) as error:
            raise SinkError(
                f"cannot encode {shown(self._path)}: {error}.",
                remedy=f"{install_command('video')}, or: --out "
                f"{quoted(self._path.with_suffix('.avi'))}",
                code="sink/cannot-open-video",
            ) from error

    def write(self, result: Result) -> bool:
        height, width = self._size
        image = result.overlay[:height, :width]
        try:
            if not self._images:
                self._publish()
            for _ in range(self._repeats(result.record.arrival)):
                self._encoder.write(image)
                self._images += 1
        except OSError as error:
            with suppress(OSError, SinkError):
                self._finish()
            raise self._ended(error) from error
        return True

    def _publish(self) -> None:
        """Give the file its name, if it may have it while it is open."""
        fast = isinstance(self._encoder, PyAvEncoder)
        play = "plays while it is written" if fast else "plays when it is complete"
        hint = "" if fast else f"; for H.264: {install_command('video')}"
        log.info(f"{shown(self._path)}: {self._encoder.codec}, {play}{hint}")
        if os.name != "nt":
            self._rename()

    def _rename(self) -> None:
        if not self._part.exists():
            return
        if not self._overwrite:
            try:
                os.link(self._part, self._path)
                self._part.unlink()
                return
            except FileExistsError:
                raise
            except OSError:  # a file system without links, as on USB sticks
                check_name(self._path, overwrite=False)
        self._part.replace(self._path)

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

    def _ended(self, error: OSError) -> SinkError:
        seconds = self._images / self._fps
        return SinkError(
            f"the video {shown(self._path)} ends after {self._images} images ({seconds:.1f} s): "
            f"{error.strerror or error}.",
            remedy=f"check the free space: df -h {quoted(self._path.parent)}",
            code="sink/video-ended",
        )

    def close(self) -> None:
        """Finish the video; SinkError if its end could not be written."""
        try:
            self._finish()
        except OSError as error:
            raise self._ended(error) from error

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        with self._files:
            try:
                self._encoder.close()
            finally:
                if self._images:
                    self._rename()
            if self._images:
                self._check()

    def _check(self) -> None:
        """Open the video: OpenCV's writer does not report a failed disk."""
        with openable(self._path) as name:
            readable = cv2.VideoCapture(name).isOpened()
        if not readable:
            raise SinkError(
                f"the video {shown(self._path)} is not readable after {self._images} images.",
                remedy=f"check the free space: df -h {quoted(self._path.parent)}",
                code="sink/unreadable-video",
            )


def check_name(path: Path, *, overwrite: bool) -> None:
    """Refuse a file that is no video, or exists without `overwrite`."""
    if path.suffix.lower() not in FORMATS:
        raise SinkError(
            f"unsupported video format: {shown(path)} (expected {', '.join(FORMATS)}).",
            remedy=f"--out {quoted(path.with_suffix('.mp4'))}",
            code="sink/unsupported-format",
        )
    if path.is_dir() or (path.exists() and not overwrite):
        names = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))
        free = next(name for name in names if not name.exists())
        replace = "" if path.is_dir() else ", or replace it: --overwrite"
        raise SinkError(
            f"{shown(path)} exists.", remedy=f"--out {quoted(free)}{replace}", code="sink/exists"
        )
