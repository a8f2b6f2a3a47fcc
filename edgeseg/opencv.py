"""What this OpenCV was built with, and what the lack of it costs."""

import re
from types import ModuleType

NO_GSTREAMER = (
    "this OpenCV lacks GStreamer, as every one from PyPI does: no csi:// and gst:// source, "
    "and no hardware decoder"
)
GET_GSTREAMER = (
    "sudo apt-get install python3-opencv, python3 -m venv --system-site-packages, "
    "and in it: pip uninstall opencv-python"
)


def built(build: str, name: str) -> str:
    """Return a line of `cv2.getBuildInformation()`: for `GStreamer:   NO` it is `NO`."""
    line = re.search(rf"^\s*{name}:[ \t]*(.*)$", build, re.MULTILINE)
    return line.group(1).strip() if line else ""


def has_gstreamer(cv2: ModuleType) -> bool:
    """Whether `csi://` and `gst://` can be opened."""
    return built(cv2.getBuildInformation(), "GStreamer").startswith("YES")
