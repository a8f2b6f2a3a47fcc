"""From what a user types to a source of frames.

0, 1                   a camera by its number
v4l2:///dev/video0     a camera by its device; so does /dev/video0
csi://0                a camera on a Jetson's CSI connector, through GStreamer
rtsp://host/path       a network camera; also rtsps://, and http:// or https:// for MJPEG
gst://PIPELINE         a GStreamer pipeline of the user's own
clip.mp4               a video file
photos/                the images in and below a folder, in the order of their names
part.png               one image
test://640x480@30      a software camera: width x height @ frames per second
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2

from edgeseg.addresses import public
from edgeseg.errors import ConfigError, SourceError
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.opencv import has_gstreamer
from edgeseg.settings import parse_size
from edgeseg.stream.pipeline.ring import Source
from edgeseg.stream.source import gstreamer as pipelines
from edgeseg.stream.source.files import open_path
from edgeseg.stream.source.mode import Mode
from edgeseg.stream.source.opencv import NetworkDevice, OpenCVDevice, PipelineDevice, need_gstreamer
from edgeseg.stream.source.reconnect import Camera, Device
from edgeseg.stream.source.synthetic import SoftwareCamera

SUPPORTED = (
    "a camera (0, v4l2:///dev/video0, csi://0, rtsp://HOST/PATH, http://HOST/PATH), "
    "gst://PIPELINE, a video file, an image, a folder of images, test://640x480@30"
)
NETWORK = ("rtsp", "rtsps", "http", "https")
ANYTHING = Mode()


def open_source(
    address: str, *, size: tuple[int, int], attempts: int, wish: Mode = ANYTHING
) -> Source:
    """Open what `address` names; SourceError when it is not there or not supported.

    size: (height, width) of the graph's frames, for which a camera is asked when `wish` has no
    size; attempts: how often a lost camera is tried.
    """
    opening = _Opening(wish, size, attempts)
    if address.isdecimal():
        return opening.usb(int(address))
    scheme, separator, rest = address.partition("://")
    scheme = scheme.lower()
    if not separator:
        return opening.path(Path(address))
    if scheme == "v4l2":
        return opening.usb(rest)
    if scheme == "csi":
        return opening.csi(rest)
    if scheme in NETWORK:
        return opening.network(scheme, address)
    if scheme == "gst":
        return opening.pipeline(rest)
    if scheme == "test":
        return opening.software(rest)
    raise SourceError(
        f"'{public(address)}' is not supported as a source; supported are {SUPPORTED}.",
        remedy="edgeseg stream --camera 0",
    )


@dataclass(frozen=True)
class _Opening:
    """What all sources are opened with."""

    wish: Mode
    size: tuple[int, int]
    attempts: int

    def usb(self, address: int | str) -> Camera:
        wish = self.wish.or_size(self.size)
        return self._camera(f"camera {address}", partial(OpenCVDevice, address, wish))

    def csi(self, sensor: str) -> Camera:
        name = f"csi://{sensor}"
        if not sensor.isdecimal():
            raise SourceError(
                f"'{name}' is no CSI camera; its number was expected.", remedy="--camera csi://0"
            )
        if self.wish.format not in (None, "nv12"):
            raise SourceError(
                f"{name} was to send {self.wish.format}; a CSI camera sends nv12.",
                remedy="--camera-format nv12, or leave it out",
            )
        line = pipelines.csi(int(sensor), self.wish, self.size)
        asked = Mode(self.wish.size or self.size, self.wish.fps)
        return self._camera(name, partial(PipelineDevice, name, line, asked))

    def network(self, scheme: str, url: str) -> Camera:
        name = public(url)
        self._unasked(name)
        if scheme.startswith("rtsp") and has_gstreamer(cv2):
            line = pipelines.rtsp(url, jetson=this_machine().jetson is not None)
            return self._camera(name, partial(PipelineDevice, name, line))
        return self._camera(name, partial(NetworkDevice, url))

    def pipeline(self, text: str) -> Camera:
        name = public(f"gst://{text}")
        need_gstreamer(name)
        line, lacks = pipelines.complete(text)
        if not line:
            raise SourceError(
                "gst:// names no pipeline; one was expected.",
                remedy="--source 'gst://v4l2src device=/dev/video0'",
            )
        if lacks:
            log.info(f"{name}: its appsink lacks {lacks}; write: {pipelines.SINK}")
        self._unasked(name)
        return self._camera(name, partial(PipelineDevice, name, line))

    def path(self, path: Path) -> Source:
        if path.is_char_device():
            return self.usb(str(path))
        source = open_path(path)
        if source is None:
            raise SourceError(
                f"There is no file, folder or camera '{path}'; supported are {SUPPORTED}.",
                remedy="check the path, or: edgeseg stream --camera 0",
            )
        replace(self, wish=replace(self.wish, fps=None))._unasked(source.name)  # fps: its pace
        return source

    def software(self, text: str) -> SoftwareCamera:
        size, _, rate = text.partition("@")
        try:
            height, width = parse_size(size, "test://")
            fps = float(rate or 30)
        except (ConfigError, ValueError) as error:
            raise SourceError(
                f"'test://{text}' is no software camera; test://WIDTHxHEIGHT@FPS was expected.",
                remedy="--source test://640x480@30",
            ) from error
        if not 0 < fps <= 10_000:
            raise SourceError(
                f"'test://{text}' asks for {fps:g} frames per second; up to 10000 can be had.",
                remedy="--source test://640x480@30",
            )
        camera = SoftwareCamera(height, width, fps)
        self._unasked(camera.name)
        return camera

    def _camera(self, name: str, connect: Callable[[], Device]) -> Camera:
        return Camera(name, connect, attempts=self.attempts)

    def _unasked(self, name: str) -> None:
        """Say that a wish has no effect on a source that nothing can be asked of."""
        if self.wish != ANYTHING:
            log.info(
                f"{name} sends what it sends: --width, --height, --fps and --camera-format "
                f"({self.wish}) are for USB and CSI cameras"
            )
