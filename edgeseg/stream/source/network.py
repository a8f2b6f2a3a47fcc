"""Network cameras: rtsp://, rtsps://, and MJPEG over http:// and https://.

    rtsp   GStreamer (on Jetson with the hardware decoder): by OpenCV if that has it, else by
           PyGObject. FFmpeg if there is no GStreamer, or if it lacks a decoder
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
from edgeseg.errors import MissingExtra, SourceError
from edgeseg.frame.pixel_formats import FrameFormat
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.packages.gstreamer import Library, choose_gstreamer
from edgeseg.packages.opencv import parameters, silence
from edgeseg.stream.source.base import Frame, Source
from edgeseg.stream.source.camera import TRY_WITHOUT, CameraOptions, CaptureConnection
from edgeseg.stream.source.decoding import Decoding
from edgeseg.stream.source.gstreamer.connection import AppsinkConnection
from edgeseg.stream.source.gstreamer.open import missing_plugin, open_appsink
from edgeseg.stream.source.gstreamer.opencv import GStreamerConnection
from edgeseg.stream.source.gstreamer.pipeline import DECODER, PipelineFailed
from edgeseg.stream.source.gstreamer.text import (
    APPSINK,
    HARDWARE,
    OPEN_SECONDS,
    READ_SECONDS,
    rtsp_end,
    rtsp_head,
    taken,
)
from edgeseg.stream.source.mjpeg import JPEG_PATH, decode_jpeg_frame, take_packets
from edgeseg.stream.source.packets import NewestPacket
from edgeseg.stream.source.retrieve import VIDEO_PATH, VIDEO_WRITES

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
# nobuffer: start at the newest frame, not at those that were read to detect the stream's format.
LOW_LATENCY = "rtsp_transport;tcp|fflags;nobuffer+discardcorrupt|flags;low_delay|max_delay;0"
DECODED = "image/jpeg;video/x-raw(ANY)"  # JPEGs are decoded by edgeseg
FFMPEG_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


def open_network(url: str, options: CameraOptions) -> Source:
    """Open a network camera; its name is the URL without the password."""
    name, url = public(url), encoded(url)
    options.warn_unused(name)
    if url.lower().startswith("rtsp"):
        try:
            return _open_rtsp(name, url, options, choose_gstreamer(cv2))
        except MissingExtra:
            pass
        except SourceError as error:
            if error.code != "source/missing-plugin":
                raise
            log.warning(f"{error.problem} FFmpeg receives it instead; or: {error.remedy}")
    return options.camera(name, partial(FFmpegConnection, url))


def _open_rtsp(name: str, url: str, options: CameraOptions, library: Library) -> Source:
    """Open an RTSP camera through GStreamer."""
    kind, jetson = taken(options.frame_format, library), this_machine().jetson is not None
    head, end = rtsp_head(url), rtsp_end(kind, jetson=jetson)
    inside = int(kind not in HARDWARE) if jetson else 2  # the decoder and videoconvert
    if library == "OpenCV":
        pipeline = f"{head} ! decodebin ! {end} ! {APPSINK}"
        return options.camera(name, partial(_start, name, pipeline, kind, url, inside=inside))

    def explain(error: PipelineFailed) -> SourceError:
        return missing_plugin(name, error) or _unreachable(url) or _no_video(url, f": {error}")

    pipeline = f'{head} ! decodebin name={DECODER} caps="{DECODED}" {APPSINK}'
    connect = partial(AppsinkConnection, name, pipeline, explain, end=end, inside=inside)
    return open_appsink(name, connect, options)


def _start(
    name: str, pipeline: str, kind: FrameFormat, url: str, *, inside: int
) -> GStreamerConnection:
    """Start a pipeline; if it fails because the host does not answer, say that."""
    try:
        return GStreamerConnection(name, pipeline, kind, inside=inside)
    except SourceError as error:
        raise _unreachable(url) or error from None


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
            raise _unreachable(url) or _no_video(url)
        if capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
            capture.release()
            raise SourceError(
                f"{public(url)} is a file (expected a live stream).",
                remedy="download it, then: edgeseg stream --source FILE",
                code="source/remote-file",
            )
        jpegs = take_packets(capture, cv2.CAP_FFMPEG)
        super().__init__(capture, writes=VIDEO_WRITES)
        self.note += " (FFmpeg by OpenCV)"
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


def _no_video(url: str, why: str = "") -> SourceError:
    """Return the error of a host that answers and sends no video."""
    example = f"{url.partition(':')[0]}://USER:PASSWORD@HOST/PATH"
    return SourceError(
        f"no video from {public(url)}{why} (wrong path, user or password, or unsupported codec).",
        remedy=f"use {example} as in the camera's manual; {ESCAPES}",
        code="source/no-video",
    )


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
