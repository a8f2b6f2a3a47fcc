"""GStreamer pipelines: CSI cameras on Jetson (csi://0) and pipelines of the user (gst://...).

Every pipeline ends in `appsink drop=true max-buffers=1 sync=false`: the newest frame replaces an
unread one. OpenCV sets max-buffers itself but not drop, and a full sink without drop blocks the
camera, so that frames become stale.
"""

import re
from functools import partial
from queue import Empty, Queue
from threading import Thread

import cv2

from edgeseg.addresses import public, public_pipeline
from edgeseg.errors import SourceError
from edgeseg.files import quoted
from edgeseg.log import log
from edgeseg.opencv import (
    GSTREAMER_TIMEOUTS,
    NO_GSTREAMER,
    has_gstreamer,
    parameters,
    silence,
    version,
)
from edgeseg.stream.source.camera import Camera, CameraOptions, CaptureConnection, Mode
from edgeseg.system_packages import get_gstreamer

OPEN_SECONDS, READ_SECONDS = 10.0, 5.0  # timeouts
APPSINK = "appsink drop=true max-buffers=1 sync=false"
TO_BGR = "videoconvert ! video/x-raw,format=BGR"
SENSOR = (1080, 1920)  # default (height, width) of a CSI sensor

_APPSINK = re.compile(r"(?:^|[\s!])appsink(?=[\s!]|$)([^!]*)")


def open_csi(sensor: str, options: CameraOptions) -> Camera:
    """Open a camera on a Jetson's CSI connector by its number."""
    name, requested = f"csi://{sensor}", options.requested
    if not sensor.isdecimal():
        raise SourceError(
            f"invalid CSI camera: '{name}' (expected a number).",
            remedy="--camera csi://0",
            code="source/invalid-csi",
        )
    if requested.format not in (None, "nv12"):
        raise SourceError(
            f"--camera-format {requested.format} is not supported for CSI cameras (use nv12).",
            remedy="--camera-format nv12, or omit it",
            code="source/csi-format",
        )
    pipeline = csi_pipeline(int(sensor), requested, options.size)
    mode = Mode(requested.size or options.size, requested.fps)
    return options.camera(name, partial(GStreamerConnection, name, pipeline, mode))


def open_pipeline(text: str, options: CameraOptions) -> Camera:
    """Open a user's pipeline; an appsink is appended if it has none."""
    name = public(f"gst://{text}")
    _need_gstreamer(name)
    pipeline, missing = complete(text)
    if not pipeline or not pipeline.isprintable():
        raise SourceError(
            f"gst:// has {'characters that are no text' if pipeline else 'no pipeline'}.",
            remedy="--source 'gst://v4l2src device=/dev/video0'",
            code="source/invalid-pipeline" if pipeline else "source/empty-pipeline",
        )
    if missing:
        log.warning(f"{name}: its appsink lacks {missing}; use: {APPSINK}")
    options.warn_unused(name)
    return options.camera(name, partial(GStreamerConnection, name, pipeline))


class GStreamerConnection(CaptureConnection):
    """A GStreamer pipeline that ends in an appsink."""

    def __init__(self, name: str, pipeline: str, requested: Mode | None = None) -> None:
        """Start the pipeline; `requested` is the mode that it asks a camera for, for the log."""
        _need_gstreamer(name)
        silence(cv2)
        capture = _start(pipeline)
        if capture is None or not capture.isOpened():
            shown = public_pipeline(pipeline.partition(" ! appsink")[0])
            raise SourceError(
                f"cannot start {name}: a GStreamer element is not installed, the camera is missing "
                "or in use, or two elements do not match.",
                remedy=f"to see the cause: gst-launch-1.0 -v {quoted(f'{shown} ! fakesink')}",
                code="source/pipeline-failed",
            )
        super().__init__(capture)
        if requested:
            self.note = requested.note(self.mode)


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


def csi_pipeline(sensor: int, requested: Mode, size: tuple[int, int]) -> str:
    """Return the pipeline of a CSI camera that delivers frames of `size` (height, width).

    The sensor runs in the requested mode; by default at 1920x1080, or at the frame size if that is
    larger, and the Jetson's image converter scales.
    """
    height, width = requested.size or max(size, SENSOR, key=lambda s: s[0] * s[1])
    rate = f",framerate={_fraction(requested.fps)}" if requested.fps else ""
    rows, columns = requested.size or size
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! "
        f"video/x-raw(memory:NVMM),width={width},height={height}{rate},format=NV12 ! "
        f"nvvidconv ! video/x-raw,width={columns},height={rows},format=BGRx ! {TO_BGR} ! {APPSINK}"
    )


def complete(pipeline: str) -> tuple[str, str]:
    """Return a pipeline that has an appsink, and the properties that the user's appsink lacks."""
    pipeline = pipeline.strip().rstrip("!").rstrip()
    if not pipeline:
        return "", ""
    sink = _APPSINK.search(pipeline)
    if sink is None:
        return f"{pipeline} ! {TO_BGR} ! {APPSINK}", ""
    missing = []
    if not re.search(r"\bdrop\s*=\s*(\(\w+\))?\s*\"?(true|1|yes)\b", sink.group(1), re.IGNORECASE):
        missing.append("drop=true (frames queue up and become stale)")
    if not re.search(r"\bsync\s*=\s*(\(\w+\))?\s*\"?(false|0|no)\b", sink.group(1), re.IGNORECASE):
        missing.append("sync=false (frames are delayed until their time stamp)")
    return pipeline, " and ".join(missing)


def _need_gstreamer(name: str) -> None:
    if not has_gstreamer(cv2):
        raise SourceError(
            f"cannot open {name}: {NO_GSTREAMER}.",
            remedy=get_gstreamer(),
            code="source/no-gstreamer",
        )


def _fraction(fps: float) -> str:
    """Return a rate as GStreamer writes it: 30 -> 30/1, 29.97 -> 29970/1000."""
    return f"{fps:.0f}/1" if fps == round(fps) else f"{round(fps * 1000)}/1000"
