"""GStreamer pipelines by an OpenCV that was built with it, which sets max-buffers itself."""

from queue import Empty, Queue
from threading import Thread

import cv2

from edgeseg.frame.pixel_formats import FrameFormat
from edgeseg.packages.opencv import GSTREAMER_TIMEOUTS, parameters, silence, version
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import CaptureConnection, Mode
from edgeseg.stream.source.gstreamer.text import (
    OPEN_SECONDS,
    READ_SECONDS,
    pipeline_failed,
    wrong_caps,
)
from edgeseg.stream.source.retrieve import PIPELINE_WRITES, UnknownFormat


class GStreamerConnection(CaptureConnection):
    """A GStreamer pipeline that ends in an appsink."""

    def __init__(
        self,
        name: str,
        pipeline: str,
        kind: FrameFormat | None = "bgr",
        requested: Mode | None = None,
        *,
        inside: int | None = None,
    ) -> None:
        """Start the pipeline.

        kind: the format at its end, None if that is unknown; requested: the mode that it asks a
        camera for, for the log; inside: writes of the CPU before its end, None if unknown.
        """
        self._name = name
        silence(cv2)
        capture = _start(pipeline)
        if capture is None or not capture.isOpened():
            why = (
                "a GStreamer element is not installed, the camera is missing or in use, or two "
                "elements do not match"
            )
            raise pipeline_failed(name, pipeline, why)
        super().__init__(capture, kind, writes=PIPELINE_WRITES + (inside or 0))
        since = " (writes are counted from there)" if inside is None else ""
        self.path = f"{kind or 'frames'}, copied by OpenCV at the end of the pipeline{since}"
        note = requested.note(self.mode) if requested else self.note
        self.note = f"{note} (GStreamer by OpenCV)"

    def read_into(self, frame: Frame) -> bool:
        try:
            return super().read_into(frame)
        except UnknownFormat as error:
            raise wrong_caps(self._name, str(error)) from error


def _start(pipeline: str) -> cv2.VideoCapture | None:
    """Return a capture of a pipeline, opened or not; None if it does not start in time."""
    if version(cv2) >= GSTREAMER_TIMEOUTS:
        timeouts = {
            "CAP_PROP_OPEN_TIMEOUT_MSEC": int(OPEN_SECONDS * 1000),
            "CAP_PROP_READ_TIMEOUT_MSEC": int(READ_SECONDS * 1000),
        }
        return cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER, parameters(cv2, timeouts))
    # An older OpenCV waits forever, for example where an element is not installed.
    started: Queue[cv2.VideoCapture] = Queue()
    Thread(
        target=lambda: started.put(cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER, [])),
        daemon=True,
    ).start()
    try:
        return started.get(timeout=OPEN_SECONDS)
    except Empty:
        return None
