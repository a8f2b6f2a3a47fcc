"""GStreamer pipelines: CSI cameras on Jetson (csi://0) and pipelines of the user (gst://...).

A pipeline of ours delivers the graph's own format, where OpenCV takes it from an appsink; one of
the user what the caps before its appsink say. Every pipeline ends in
`appsink drop=true max-buffers=1 sync=false`: the newest frame replaces an unread one. OpenCV sets
max-buffers itself but not drop, and a full sink without drop blocks the camera, so that frames
become stale.
"""

import re
from functools import partial
from queue import Empty, Queue
from threading import Thread

import cv2

from edgeseg.addresses import public, public_pipeline
from edgeseg.errors import SourceError
from edgeseg.files import quoted
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, FrameFormat
from edgeseg.log import log
from edgeseg.packages.opencv import (
    GSTREAMER_TIMEOUTS,
    NO_GSTREAMER,
    has_gstreamer,
    parameters,
    silence,
    version,
)
from edgeseg.packages.system import get_gstreamer
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import Camera, CameraOptions, CaptureConnection, Mode
from edgeseg.stream.source.retrieve import PIPELINE_WRITES, UnknownFormat

OPEN_SECONDS, READ_SECONDS = 10.0, 5.0  # timeouts
APPSINK = "appsink drop=true max-buffers=1 sync=false"
# What OpenCV takes from an appsink; it has no caps for RGB.
TAKEN: tuple[FrameFormat, ...] = ("bgr", "gray", "yuyv", "uyvy", "nv12")
HARDWARE: tuple[FrameFormat, ...] = ("nv12", "gray")  # what a Jetson's nvvidconv delivers
SENSOR = (1080, 1920)  # default (height, width) of a CSI sensor

_FORMAT = re.compile(r"\bformat\s*=\s*(?:\(string\)\s*)?[\"']?(\w+)")
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
    kind = taken(options.frame_format)
    pipeline = csi_pipeline(int(sensor), requested, options.size, kind)
    mode = Mode(requested.size or options.size, requested.fps)
    inside = 0 if kind in HARDWARE else 1  # by videoconvert
    connect = partial(GStreamerConnection, name, pipeline, kind, mode, inside=inside)
    return options.camera(name, connect)


def open_pipeline(text: str, options: CameraOptions) -> Camera:
    """Open a user's pipeline; an appsink is appended if it has none."""
    name = public(f"gst://{text}")
    _need_gstreamer(name)
    pipeline, missing = complete(text, taken(options.frame_format))
    if not pipeline or not pipeline.isprintable():
        raise SourceError(
            f"gst:// has {'characters that are no text' if pipeline else 'no pipeline'}.",
            remedy="--source 'gst://v4l2src device=/dev/video0'",
            code="source/invalid-pipeline" if pipeline else "source/empty-pipeline",
        )
    if missing:
        log.warning(f"{name}: its appsink lacks {missing}; use: {APPSINK}")
    options.warn_unused(name)
    kind = format_of(pipeline, name)
    return options.camera(name, partial(GStreamerConnection, name, pipeline, kind))


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
        _need_gstreamer(name)
        self._name = name
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
        super().__init__(capture, kind, writes=PIPELINE_WRITES + (inside or 0))
        since = " (writes are counted from there)" if inside is None else ""
        self.path = f"{kind or 'frames'}, copied by OpenCV at the end of the pipeline{since}"
        if requested:
            self.note = requested.note(self.mode)

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


def csi_pipeline(
    sensor: int, requested: Mode, size: tuple[int, int], kind: FrameFormat = "bgr"
) -> str:
    """Return the pipeline of a CSI camera that delivers frames of `size` (height, width).

    The sensor runs in the requested mode; by default at 1920x1080, or at the frame size if that is
    larger, and the Jetson's image converter scales.
    """
    height, width = requested.size or max(size, SENSOR, key=lambda s: s[0] * s[1])
    rate = f",framerate={_fraction(requested.fps)}" if requested.fps else ""
    rows, columns = requested.size or size
    caps = PIXEL_FORMATS[kind].caps
    scaled = f"width={columns},height={rows}"
    if kind in HARDWARE:
        end = caps.replace("format", f"{scaled},format")
    else:
        end = f"video/x-raw,{scaled},format=BGRx ! videoconvert ! {caps}"
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! "
        f"video/x-raw(memory:NVMM),width={width},height={height}{rate},format=NV12 ! "
        f"nvvidconv ! {end} ! {APPSINK}"
    )


def taken(graph: FrameFormat) -> FrameFormat:
    """Return the format to ask a pipeline for: the graph's, or BGR."""
    return graph if graph in TAKEN else "bgr"


def format_of(pipeline: str, name: str) -> FrameFormat | None:
    """Return the format that the caps before an appsink name; None if they name none.

    SourceError if it is one that cannot be read.
    """
    before = _APPSINK.split(pipeline)[0].rstrip(" !").rpartition("!")[2]
    found = _FORMAT.search(before)
    if found is None:
        return "bgr" if "image/jpeg" in before else None
    ends = {form.caps.rpartition("=")[2]: kind for kind, form in PIXEL_FORMATS.items()}
    kind = ends.get(found[1])
    if kind is None or kind == "rgb":
        raise wrong_caps(name, found[1])
    return kind


def wrong_caps(name: str, found: str) -> SourceError:
    """Return the error of a pipeline whose frames cannot be read."""
    return SourceError(
        f"{name} delivers {found} (expected BGR, GRAY8, YUY2, UYVY, NV12, Bayer rggb or "
        "image/jpeg, named in the caps before the appsink).",
        remedy=f"end the pipeline in: videoconvert ! {PIXEL_FORMATS['bgr'].caps} ! {APPSINK}",
        code="source/pipeline-format",
    )


def complete(pipeline: str, kind: FrameFormat = "bgr") -> tuple[str, str]:
    """Return a pipeline that has an appsink, and the properties that the user's appsink lacks.

    kind: the format to deliver if it has no appsink.
    """
    pipeline = pipeline.strip().rstrip("!").rstrip()
    if not pipeline:
        return "", ""
    sink = _APPSINK.search(pipeline)
    if sink is None:
        return f"{pipeline} ! videoconvert ! {PIXEL_FORMATS[kind].caps} ! {APPSINK}", ""
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
