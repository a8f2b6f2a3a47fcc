"""GStreamer, for pipelines and RTSP cameras: by OpenCV where that has it, else by PyGObject.

OpenCV's wheels on PyPI are built without GStreamer; those of distributions and of JetPack have it.
PyGObject (python3-gi) reaches the distribution's GStreamer from every environment of the same
version of Python, and knows more of it: time stamps, the format of each frame, the cause of errors.
"""

import ctypes
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import Any, Literal, NamedTuple

from edgeseg.errors import MissingExtra
from edgeseg.packages.gobject import load_library
from edgeseg.packages.opencv import has_gstreamer
from edgeseg.packages.system import apt_install

# plugins-base has appsink and videoconvert, plugins-good v4l2src, rtspsrc and JPEGs, libav H.264;
# tools has gst-launch-1.0.
PLUGINS = (
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-plugins-bad",
    "gstreamer1.0-libav",
    "gstreamer1.0-tools",
)
TYPELIBS = "gir1.2-gst-plugins-base-1.0"
UNWINDER = "libgcc_s.so.1"  # of C++ exceptions
Library = Literal["OpenCV", "PyGObject"]


class GStreamer(NamedTuple):
    """Its libraries, by their descriptions."""

    core: Any
    app: Any
    video: Any

    @property
    def version(self) -> str:
        """As `1.22.0`."""
        return str(self.core.version_string()).removeprefix("GStreamer ")


@cache
def load_gstreamer() -> GStreamer:
    """Return GStreamer through PyGObject; MissingExtra with what installs it."""
    # PyGObject shows every library those that GStreamer needs, among them libunwind, whose
    # functions have the names of GCC's. OpenVINO aborts with them; what is shown first is used.
    with suppress(OSError, AttributeError):  # another system
        ctypes.CDLL(UNWINDER, mode=ctypes.RTLD_GLOBAL)
    core, app, video = (
        load_library(name, "1.0", TYPELIBS, *PLUGINS) for name in ("Gst", "GstApp", "GstVideo")
    )
    core.init(None)
    return GStreamer(core, app, video)


def choose_gstreamer(cv2: ModuleType) -> Library:
    """Return what opens pipelines here; MissingExtra, with what installs it, if nothing does."""
    if has_gstreamer(cv2):
        return "OpenCV"
    try:
        load_gstreamer()
    except MissingExtra as error:
        raise MissingExtra(
            f"OpenCV was built without GStreamer, and {error.problem}",
            remedy=error.remedy,
            code="extra/missing",
        ) from error
    return "PyGObject"


def install_plugins() -> str:
    """Return the commands that install the plugins of GStreamer that edgeseg uses."""
    return apt_install(*PLUGINS)
