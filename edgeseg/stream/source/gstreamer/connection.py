"""A GStreamer pipeline by PyGObject, as a connection of a camera, and as a file.

A live pipeline is a camera: its newest frame wins, and it is started again when it fails or ends.
One that is not live and has an end, or reads files, is a file: no frame of it is dropped, and it is
not started again. JPEGs are decoded as those of other sources, see `mjpeg.py`.
"""

import threading
from collections.abc import Callable
from typing import Any

from edgeseg.errors import SourceError
from edgeseg.log import log
from edgeseg.stream.source.base import CLOSE_SECONDS, Frame, Source
from edgeseg.stream.source.camera import DEFAULT_FPS, MAX_FPS, LostConnection, Mode
from edgeseg.stream.source.decoding import Decoding
from edgeseg.stream.source.gstreamer.pipeline import Pipeline, PipelineFailed, presentation
from edgeseg.stream.source.gstreamer.samples import SampleLayout, layout_of, read_jpeg, read_pixels
from edgeseg.stream.source.gstreamer.text import OPEN_SECONDS, READ_SECONDS, wrong_caps
from edgeseg.stream.source.mjpeg import JPEG_PATH, BrokenFrame, decode_jpeg_frame, log_broken
from edgeseg.stream.source.retrieve import UnknownFormat

Explain = Callable[[PipelineFailed], SourceError]


class AppsinkConnection:
    """Reads the frames of a pipeline that was started, until it fails or ends."""

    max_missing = 1
    driver_drops = 0

    def __init__(
        self,
        name: str,
        text: str,
        explain: Explain,
        requested: Mode | None = None,
        *,
        newest: bool = False,
        end: str = "",
        inside: int | None = None,
    ) -> None:
        """Start a pipeline and wait for its first frame; SourceError, as `explain` returns it.

        requested: the mode that it asks a camera for, for the log; newest: as of `start`,
        end: as of `Pipeline`; inside: writes of the CPU before the appsink, None if unknown.
        """
        self._name, self._inside = name, inside
        self.stopping = threading.Event()
        self.decoding: Decoding = Decoding()
        self.skipped = self._passed_over = 0
        self._caps: Any = None
        try:
            self._pipeline = Pipeline(name, text, end)
        except PipelineFailed as error:
            raise explain(error) from error
        try:
            self.live = self._pipeline.start(newest=newest)
            self._first = self._pipeline.pull(OPEN_SECONDS)
            if self._first is None:
                ended = "it ended before its first frame"
                late = f"no frame within {OPEN_SECONDS:g} s"
                raise PipelineFailed(ended if self._pipeline.ended else late)
            self._layout = self._layout_of(self._first)
        except BaseException as error:
            self._pipeline.close()
            if isinstance(error, PipelineFailed):
                raise explain(error) from error
            raise
        rate = self._layout.fps
        rate = rate if rate and rate <= MAX_FPS else None
        self.fps = rate or DEFAULT_FPS
        mode = Mode(self._layout.size, rate)
        version = self._pipeline.library.version
        note = requested.note(mode) if requested else f"delivers {mode}"
        self.note = f"{note} (GStreamer {version} by PyGObject)"

    @property
    def path(self) -> str:
        """How frames reach the slots."""
        if self._layout.kind is None:
            return JPEG_PATH
        since = " (writes are counted from there)" if self._inside is None else ""
        return f"{self._layout.kind}, copied out of the appsink of the pipeline{since}"

    def read_into(self, frame: Frame) -> bool:
        """Wait for a frame and bring it into `frame`; False if none came.

        LostConnection: an element failed, which is logged. BrokenFrame: the frame is not whole.
        """
        try:
            sample = self._next(frame)
        except PipelineFailed as error:
            log.warning(f"{self._name}: {error}")
            raise LostConnection(str(error)) from error
        if sample is None:
            return False
        if self._layout.kind is None:
            with self.decoding.timed():
                jpeg = read_jpeg(sample, self._pipeline.library)
                decode_jpeg_frame(jpeg, frame)
        else:
            read_pixels(sample, self._layout, frame, self._pipeline.library, self._inside or 0)
        return True

    def _next(self, frame: Frame) -> Any:
        """Wait for a frame that is worth decoding, and stamp it; None if none came."""
        while (sample := self._pull()) is not None:
            frame.stamp()
            self._layout = self._layout_of(sample)
            jpeg = self._layout.kind is None
            if not (self.live and jpeg and self.decoding.passes_over(frame.arrival)):
                break
            self._passed_over += 1
        if self.live:
            skipped = self._pipeline.passed() - self._pipeline.taken
            self.skipped = max(self.skipped, skipped + self._passed_over)
        if sample is not None:
            frame.camera_ns = presentation(sample)
        return sample

    def _pull(self) -> Any:
        sample, self._first = self._first, None
        if sample is None:
            return self._pipeline.pull(READ_SECONDS, self.stopping)
        newer = self._pipeline.pull(0.0) if self.live else None  # since it was opened
        return newer or sample

    def _layout_of(self, sample: Any) -> SampleLayout:
        """Return the layout of a sample, whose caps seldom change."""
        caps = sample.get_caps()
        if self._caps is None or not caps.is_equal(self._caps):
            try:
                self._layout = layout_of(caps, self._pipeline.library)
            except UnknownFormat as error:
                raise wrong_caps(self._name, str(error)) from error
            self._caps = caps
        return self._layout

    @property
    def ended(self) -> bool:
        """Whether the last frame was read."""
        return self._pipeline.ended

    def close(self) -> None:
        self._pipeline.close()


class PipelineFile(Source):
    """Every frame of a pipeline that ends."""

    def __init__(self, name: str, connection: AppsinkConnection) -> None:
        self._connection, self._reading = connection, threading.Lock()
        super().__init__(name, connection.fps)
        connection.stopping = self.stopping
        self.path = connection.path
        log.info(f"{name}: {connection.note}")

    def read_into(self, frame: Frame) -> bool:
        """Read the next frame; SourceError if an element fails, or sends nothing any more."""
        with self._reading:
            try:
                if self._connection.read_into(frame):
                    return True
            except LostConnection as error:
                raise self._failed(str(error)) from error
            except BrokenFrame as error:
                log_broken(self, error)
                self.broken += 1
                frame.fault = error.fault
                return True
            if not self._connection.ended and not self.stopping.is_set():
                raise self._failed(f"no frame within {READ_SECONDS:g} s")
        return False

    def _failed(self, why: str) -> SourceError:
        return SourceError(
            f"{self.name} failed before its end: {why}.",
            remedy="check the file; the frames before were judged",
            code="source/pipeline-ended",
        )

    def close(self) -> None:
        # A read that is blocked keeps the pipeline until the process exits.
        if self._reading.acquire(timeout=CLOSE_SECONDS):
            self._connection.close()
            self._reading.release()
