"""Open a source by its address.

0, 1                   camera by number, unless there is a file or folder of that name
/dev/video0            camera by device path; also v4l2:///dev/video0, v4l2://0
csi://0                camera on a Jetson's CSI connector, through GStreamer
rtsp://host/path       network camera; also rtsps://, and http:// or https:// for MJPEG
gst://PIPELINE         GStreamer pipeline
genicam://SERIAL       industrial camera (GigE Vision, USB3 Vision) through Aravis
jetson+csi://0         camera through jetson-utils, in GPU memory; also jetson+v4l2, jetson+rtsp
watch://DIR            images that a camera puts into a folder, one after the other
clip.mp4               video file
photos/                images in a folder and its subfolders, in natural order (2 before 10)
part.png               one image
test://640x480@30      synthetic camera: width x height @ frames per second

Other packages add a scheme by an entry point of the group `edgeseg.sources`: its name is the
scheme, its object a function (address, CameraOptions) -> Source.
"""

import os
from importlib.metadata import entry_points
from pathlib import Path

from edgeseg.addresses import public
from edgeseg.cards import GraphCard
from edgeseg.config import StreamConfig
from edgeseg.errors import SourceError
from edgeseg.files import shown
from edgeseg.frame.pixel_formats import FrameFormat
from edgeseg.packages.plugins import load_plugin
from edgeseg.stream.source.base import Source
from edgeseg.stream.source.camera import CameraOptions, Mode
from edgeseg.stream.source.files import open_path
from edgeseg.stream.source.genicam.address import SCHEME as GENICAM
from edgeseg.stream.source.gstreamer.open import open_csi, open_pipeline
from edgeseg.stream.source.jetson import PREFIX, open_jetson
from edgeseg.stream.source.local import open_local
from edgeseg.stream.source.network import PORTS, open_network
from edgeseg.stream.source.synthetic import open_synthetic
from edgeseg.stream.source.watch import open_watch

GROUP = "edgeseg.sources"
SUPPORTED = (
    "a camera (0, v4l2:///dev/video0, csi://0, rtsp://HOST/PATH, http://HOST/PATH), "
    "genicam://SERIAL, gst://PIPELINE, a video file, an image, a folder of images, watch://DIR, "
    "test://640x480@30"
)


def open_for(card: GraphCard, config: StreamConfig) -> Source:
    """Open the source of a stream, for the frames that a graph takes; errors as `open_source`."""
    return open_source(
        config.address(),
        size=card.frame_size,
        attempts=config.reconnects,
        requested=Mode.of(config),
        bit_depth=card.bit_depth,
        frame_format=card.frame_format,
    )


def open_source(
    address: str,
    *,
    size: tuple[int, int],
    attempts: int,
    requested: Mode | None = None,
    bit_depth: int = 16,
    frame_format: FrameFormat = "bgr",
) -> Source:
    """Open `address`; SourceError if it is missing, unavailable or not supported.

    size: (height, width) of the graph's frames, which cameras are asked for if `requested` has no
    size; attempts: to reconnect to a lost camera; bit_depth: of 16-bit images, from the card;
    frame_format: of the graph's frames.
    """
    options = CameraOptions(requested or Mode(), size, attempts, frame_format)
    if _is_number(address) and not os.path.lexists(address):
        return open_local(int(address), options)
    scheme, separator, rest = address.partition("://")
    scheme = scheme.lower()
    if not separator:
        return _open_path(Path(address), options, bit_depth)
    if scheme == "v4l2":
        return open_local(int(rest) if _is_number(rest) else rest, options)
    if scheme == "csi":
        return open_csi(rest, options)
    if scheme in PORTS:
        return open_network(address, options)
    if scheme == "gst":
        return open_pipeline(rest, options)
    if scheme.startswith(PREFIX):
        return open_jetson(address, options)
    if scheme == "test":
        source = open_synthetic(rest)
        options.warn_unused(source.name)
        return source
    if scheme == GENICAM:
        from edgeseg.stream.source.genicam.camera import open_genicam

        return open_genicam(rest, options)
    if scheme == "watch":
        watched = open_watch(rest, bit_depth)
        options.warn_unused(watched.name)
        return watched
    for entry in entry_points(group=GROUP, name=scheme):
        opened: Source = load_plugin(entry)(address, options)
        return opened
    raise SourceError(
        f"unsupported source: '{public(address)}' (expected {SUPPORTED}).",
        remedy="edgeseg stream --camera 0",
        code="source/unsupported",
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _open_path(path: Path, options: CameraOptions, bit_depth: int) -> Source:
    try:
        if path.is_char_device():
            return open_local(str(path), options)
        source = open_path(path, bit_depth)
    except OSError as error:  # no permission, or a name that is too long
        raise SourceError(
            f"cannot open {shown(path)}: {error.strerror}.",
            remedy="check the path and its permissions",
            code="source/unreadable",
        ) from error
    if source is None:
        raise SourceError(
            f"not found: '{shown(public(str(path)))}' (expected {SUPPORTED}).",
            remedy="check the path, or: edgeseg stream --camera 0",
            code="source/not-found",
        )
    options.warn_unused(source.name, live=False)
    return source
