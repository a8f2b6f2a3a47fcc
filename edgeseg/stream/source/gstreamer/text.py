"""GStreamer pipelines as text: of CSI and network cameras, and those of the user.

A pipeline of ours delivers the graph's own format, where that is possible; one of the user what the
caps before its appsink say. Every pipeline of a camera ends in
`appsink drop=true max-buffers=1 sync=false`: the newest frame replaces an unread one. A full sink
without drop blocks the camera, so that frames become stale.
"""

import re

from edgeseg.addresses import public_pipeline
from edgeseg.errors import SourceError
from edgeseg.files import quoted
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, FrameFormat
from edgeseg.packages.gstreamer import Library
from edgeseg.stream.source.camera import Mode

OPEN_SECONDS, READ_SECONDS = 10.0, 5.0  # timeouts
APPSINK = "appsink drop=true max-buffers=1 sync=false"
# What videoconvert makes, and OpenCV takes from an appsink: it has no caps for RGB.
CONVERTED: dict[Library, tuple[FrameFormat, ...]] = {
    "OpenCV": ("bgr", "gray", "yuyv", "uyvy", "nv12"),
    "PyGObject": ("bgr", "rgb", "gray", "yuyv", "uyvy", "nv12"),
}
HARDWARE: tuple[FrameFormat, ...] = ("nv12", "gray")  # what a Jetson's nvvidconv delivers
SENSOR = (1080, 1920)  # default (height, width) of a CSI sensor

_FORMAT = re.compile(r"\bformat\s*=\s*(?:\(string\)\s*)?[\"']?(\w+)")
_APPSINK = re.compile(r"(?:^|[\s!])appsink(?=[\s!]|$)([^!]*)")


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


def rtsp_head(url: str) -> str:
    """Return the begin of the pipeline of an RTSP camera: its packets, over TCP."""
    location = url.replace("\\", "\\\\").replace('"', '\\"')
    timeout = int(READ_SECONDS * 1e6)
    return (
        f'rtspsrc location="{location}" protocols=tcp latency=0 tcp-timeout={timeout} ! '
        "application/x-rtp,media=video"
    )


def rtsp_end(kind: FrameFormat = "bgr", *, jetson: bool) -> str:
    """Return the end of the pipeline of an RTSP camera, which makes a format of decoded video."""
    caps = PIXEL_FORMATS[kind].caps
    if not jetson:
        return f"videoconvert ! {caps}"
    if kind in HARDWARE:
        return f"nvvidconv ! {caps}"
    return f"nvvidconv ! video/x-raw,format=BGRx ! videoconvert ! {caps}"


def taken(graph: FrameFormat, library: Library) -> FrameFormat:
    """Return the format to ask a pipeline for: the graph's, or BGR."""
    return graph if graph in CONVERTED[library] else "bgr"


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


def pipeline_failed(name: str, pipeline: str, why: str) -> SourceError:
    """Return the error of a pipeline that does not start."""
    shown = public_pipeline(pipeline.partition(" ! appsink")[0])
    return SourceError(
        f"cannot start {name}: {why}.",
        remedy=f"to see the cause: gst-launch-1.0 -v {quoted(f'{shown} ! fakesink')}",
        code="source/pipeline-failed",
    )


def has_sink(text: str) -> bool:
    """Whether a pipeline has an appsink."""
    return _APPSINK.search(text) is not None


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


def _fraction(fps: float) -> str:
    """Return a rate as GStreamer writes it: 30 -> 30/1, 29.97 -> 29970/1000."""
    return f"{fps:.0f}/1" if fps == round(fps) else f"{round(fps * 1000)}/1000"
