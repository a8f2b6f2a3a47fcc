"""The build options of the installed OpenCV."""

import re
from types import ModuleType

NO_GSTREAMER = (
    "OpenCV was built without GStreamer, as are all wheels on PyPI: csi:// and gst:// sources and "
    "hardware decoding are unavailable"
)
GET_GSTREAMER = (
    "sudo apt-get install python3-opencv && "
    "python3 -m venv --system-site-packages --upgrade .venv && "
    ".venv/bin/pip uninstall -y opencv-python"
)


def built(build: str, name: str) -> str:
    """Return an entry of `cv2.getBuildInformation()`: `NO` for the line `GStreamer:   NO`."""
    line = re.search(rf"^\s*{name}:[ \t]*(.*)$", build, re.MULTILINE)
    return line.group(1).strip() if line else ""


def has_gstreamer(cv2: ModuleType) -> bool:
    """Whether OpenCV opens GStreamer pipelines, as `csi://` and `gst://` need."""
    return built(cv2.getBuildInformation(), "GStreamer").startswith("YES")
