"""Network cameras: rtsp://, rtsps://, and MJPEG over http:// and https://.

    rtsp   GStreamer if OpenCV has it (on Jetson with the hardware decoder), else FFmpeg
    http   FFmpeg

Both transport RTP over TCP, because one lost UDP packet corrupts the image until the next key
frame, and both keep as few frames back as they can. JPEGs that FFmpeg receives are read in a thread
of their own, and the newest one is decoded. A lost camera is reconnected by `Camera`.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit

import cv2

from edgeseg.addresses import ESCAPES, HIDDEN, encoded, public
from edgeseg.errors import SourceError
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, FrameFormat
from edgeseg.machine.facts import this_machine
from edgeseg.packages.opencv import has_gstreamer, parameters, silence
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import TRY_WITHOUT, Camera, CameraOptions, CaptureConnection
from edgeseg.stream.source.decoding import Decoding
from edgeseg.stream.source.gstreamer import (
    APPSINK,
    HARDWARE,
    OPEN_SECONDS,
    READ_SECONDS,
    GStreamerConnection,
    taken,
)
from edgeseg.stream.source.mjpeg import JPEG_PATH, decode_jpeg_frame, take_packets
from edgeseg.stream.source.packets import NewestPacket
from edgeseg.stream.source.retrieve import VIDEO_PATH, VIDEO_WRITES

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
# nobuffer: start at the newest frame, not at those that were read to detect the stream's format.
LOW_LATENCY = "rtsp_transport;tcp|fflags;nobuffer+discardcorrupt|flags;low_delay|max_delay;0"
JETSON_BGRX = "nvvidconv ! video/x-raw,format=BGRx"
FFMPEG_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


def open_network(url: str, options: CameraOptions) -> Camera:
    """Open a network camera; its name is the URL without the password."""
    name, url = public(url), encoded(url)
    options.warn_unused(name)
    if url.lower().startswith("rtsp") and has_gstreamer(cv2):
        kind = taken(options.frame_format)
        jetson = this_machine().jetson is not None
        pipeline = rtsp_pipeline(url, kind, jetson=jetson)
        return options.camera(name, partial(_start, name, pipeline, kind, url, jetson=jetson))
    return options.camera(name, partial(FFmpegConnection, url))


def _start(
    name: str, pipeline: str, kind: FrameFormat, url: str, *, jetson: bool
) -> GStreamerConnection:
    """Start a pipeline; if it fails because the host does not answer, say that."""
    try:
        inside = (kind not in HARDWARE) if jetson else 2  # the decoder and videoconvert
        return GStreamerConnection(name, pipeline, kind, inside=int(inside))
    except SourceError as error:
        raise _unreachable(url) or error from None


def rtsp_pipeline(url: str, kind: FrameFormat = "bgr", *, jetson: bool) -> str:
    """Return the GStreamer pipeline of an RTSP camera that delivers a format."""
    location = url.replace("\\", "\\\\").replace('"', '\\"')
    caps = PIXEL_FORMATS[kind].caps
    end = f"videoconvert ! {caps}"
    if jetson:
        end = f"nvvidconv ! {caps}" if kind in HARDWARE else f"{JETSON_BGRX} ! {end}"
    timeout = int(READ_SECONDS * 1e6)
    return (
        f'rtspsrc location="{location}" protocols=tcp latency=0 tcp-timeout={timeout} ! '
        f"application/x-rtp,media=video ! decodebin ! "
        f"{end} ! {APPSINK}"
    )


class FFmpegConnection(CaptureConnection):
    """A network stream that OpenCV's FFmpeg receives and decodes."""

    def __init__(self, url: str) -> None:
        silence(cv2)
        wanted = {
            "CAP_PROP_OPEN_TIMEOUT_MSEC": int(OPEN_SECONDS * 1000),
            "CAP_PROP_READ_TIMEOUT_MSEC": int(READ_SECONDS * 1000),
            "CAP_PROP_N_THREADS": 1,  # each FFmpeg frame thread delays the stream by a frame
        }
        with _low_latency():
            capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, parameters(cv2, wanted))
        if not capture.isOpened():
            raise _unreachable(url) or SourceError(
                f"no video from {public(url)}: wrong path, user or password, or unsupported codec.",
                remedy=f"use rtsp://USER:PASSWORD@HOST/PATH as in the camera's manual; {ESCAPES}",
                code="source/no-video",
            )
        if capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
            capture.release()
            raise SourceError(
                f"{public(url)} is a file (expected a live stream).",
                remedy="download it, then: edgeseg stream --source FILE",
                code="source/remote-file",
            )
        jpegs = take_packets(capture, cv2.CAP_FFMPEG)
        super().__init__(capture, writes=VIDEO_WRITES)
        self.path = JPEG_PATH if jpegs else VIDEO_PATH
        self._packets = NewestPacket(capture, self._retriever.jpeg) if jpegs else None
        self._passed_over = 0
        self.decoding: Decoding = Decoding()

    def read_into(self, frame: Frame) -> bool:
        if self._packets is None:
            return super().read_into(frame)
        while (packet := self._packets.take()) is not None:
            if self.decoding.passes_over(packet.arrival) and packet.error is None:
                self._passed_over += 1
                continue
            frame.stamp(packet.arrival)
            if packet.error is not None:
                raise packet.error
            with self.decoding.timed():
                decode_jpeg_frame(packet.jpeg, frame)
            break
        self.skipped = self._packets.skipped + self._passed_over
        return packet is not None

    def close(self) -> None:
        if self._packets is None or self._packets.close():
            super().close()


@contextmanager
def _low_latency() -> Iterator[None]:
    """Set FFmpeg's options while a stream is opened, unless the user has set them."""
    if FFMPEG_OPTIONS in os.environ:
        yield
        return
    os.environ[FFMPEG_OPTIONS] = LOW_LATENCY
    try:
        yield
    finally:
        del os.environ[FFMPEG_OPTIONS]


def _unreachable(url: str) -> SourceError | None:
    """Return the error of a host that does not answer; None if it does."""
    shown, parts = public(url), urlsplit(url)
    try:
        port = parts.port or PORTS[parts.scheme.lower()]
        socket.create_connection((parts.hostname or "", port), OPEN_SECONDS / 4).close()
    except OSError as error:
        hint = f"{ESCAPES}; or " if shown.endswith(HIDDEN) else ""
        return SourceError(
            f"cannot connect to {shown}: {error.strerror or error}.",
            remedy=f"{hint}check the camera's power, cable and address; or {TRY_WITHOUT}",
            code="source/unreachable",
        )
    return None
