"""Opens pipelines: by OpenCV where it was built with GStreamer, else by PyGObject."""

from collections.abc import Callable
from functools import partial

import cv2

from edgeseg.addresses import public
from edgeseg.errors import MissingExtra, SourceError
from edgeseg.frame.pixel_formats import FrameFormat
from edgeseg.log import log
from edgeseg.packages.gstreamer import Library, choose_gstreamer, install_plugins
from edgeseg.stream.source.base import Frame, Source
from edgeseg.stream.source.camera import Camera, CameraOptions, Mode
from edgeseg.stream.source.gstreamer.connection import AppsinkConnection, PipelineFile
from edgeseg.stream.source.gstreamer.opencv import GStreamerConnection
from edgeseg.stream.source.gstreamer.pipeline import PipelineFailed
from edgeseg.stream.source.gstreamer.text import (
    APPSINK,
    HARDWARE,
    complete,
    csi_pipeline,
    format_of,
    has_sink,
    pipeline_failed,
    taken,
)


def open_csi(sensor: str, options: CameraOptions) -> Source:
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
    library = _need_gstreamer(name)
    kind = taken(options.frame_format, library)
    pipeline = csi_pipeline(int(sensor), requested, options.size, kind)
    mode = Mode(requested.size or options.size, requested.fps)
    inside = 0 if kind in HARDWARE else 1  # by videoconvert
    if library == "OpenCV":
        return options.camera(
            name, partial(GStreamerConnection, name, pipeline, kind, mode, inside=inside)
        )
    explain = partial(explain_failure, name, pipeline)
    return open_appsink(
        name, partial(AppsinkConnection, name, pipeline, explain, mode, inside=inside), options
    )


def open_pipeline(text: str, options: CameraOptions) -> Source:
    """Open a user's pipeline; an appsink is appended if it has none."""
    name = public(f"gst://{text}")
    library = _need_gstreamer(name)
    pipeline, missing = complete(text, taken(options.frame_format, library))
    if not pipeline or not pipeline.isprintable():
        raise SourceError(
            f"gst:// has {'characters that are no text' if pipeline else 'no pipeline'}.",
            remedy="--source 'gst://v4l2src device=/dev/video0'",
            code="source/invalid-pipeline" if pipeline else "source/empty-pipeline",
        )
    if library == "OpenCV":
        kind: FrameFormat | None = format_of(pipeline, name)
        source: Source = options.camera(name, partial(GStreamerConnection, name, pipeline, kind))
    else:
        explain = partial(explain_failure, name, pipeline)
        newest = has_sink(text) and not missing.startswith("drop")
        source = open_appsink(
            name, partial(AppsinkConnection, name, pipeline, explain, newest=newest), options
        )
    if missing and source.live:
        log.warning(f"{name}: its appsink lacks {missing}; use: {APPSINK}")
    options.warn_unused(name, live=source.live)
    return source


def open_appsink(
    name: str, connect: Callable[[], AppsinkConnection], options: CameraOptions
) -> Source:
    """Start a pipeline by PyGObject; return the camera or the file that it is."""
    first = [connect()]
    if not first[0].live:
        return PipelineFile(name, first.pop())
    return AppsinkCamera(
        name, lambda: first.pop() if first else connect(), attempts=options.attempts
    )


def explain_failure(name: str, pipeline: str, error: PipelineFailed) -> SourceError:
    """Return the error of a pipeline that PyGObject did not start."""
    return missing_plugin(name, error) or pipeline_failed(name, pipeline, str(error))


def missing_plugin(name: str, error: PipelineFailed) -> SourceError | None:
    """Return the error of a pipeline of which an element is not installed; None if all are."""
    if not error.missing:
        return None
    return SourceError(
        f"cannot start {name}: {error}.",
        remedy=install_plugins(),
        code="source/missing-plugin",
    )


class AppsinkCamera(Camera):
    """A live pipeline, whose wait for a frame ends with the stream."""

    _connection: AppsinkConnection

    def _read(self, frame: Frame) -> bool:
        self._connection.stopping = self.stopping
        return super()._read(frame)


def _need_gstreamer(name: str) -> Library:
    try:
        return choose_gstreamer(cv2)
    except MissingExtra as error:
        raise SourceError(
            f"cannot open {name}: {error.problem}",
            remedy=error.remedy,
            code="source/no-gstreamer",
        ) from error
