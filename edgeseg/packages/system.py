"""Commands that bring the distribution's packages into a Python environment of edgeseg.

The distribution's OpenCV has GStreamer, and JetPack's TensorRT supports a Jetson's GPU. Both are
built for the distribution's Python: an environment of another Python cannot import them, and the
commands make a new one beside it.
"""

import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from shlex import join
from urllib.parse import unquote, urlsplit

from edgeseg.packages.extras import installed

PYTHON = Path("/usr/bin/python3")
NEW = ".venv-system"
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python")
# plugins-base has appsink and videoconvert, plugins-good v4l2src and rtspsrc, tools gst-launch-1.0.
GSTREAMER = (
    "python3-opencv",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-tools",
)
NUMPY_2 = 13  # of Python 3.13: distributions have OpenCV for NumPy 2, and NumPy 1 has no wheels


def apt_install(*packages: str) -> str:
    """Return the commands that install packages of the distribution."""
    sudo = "sudo " if hasattr(os, "geteuid") and os.geteuid() else ""
    return f"{sudo}apt-get update && {sudo}apt-get install -y {join(packages)}"


def get_gstreamer() -> str:
    """Return the commands that give this environment, or a new one, an OpenCV with GStreamer."""
    pinned = ["numpy<2"] if _minor() < NUMPY_2 else []
    return system_packages(*GSTREAMER, instead_of=OPENCV, pinned=pinned)


def system_packages(
    *packages: str, instead_of: Sequence[str] = (), pinned: Sequence[str] = ()
) -> str:
    """Return the commands that let this environment, or a new one, import the packages.

    instead_of: distributions to uninstall, because they would be found first
    pinned: requirements of the packages
    """
    steps = [apt_install("python3-venv", *packages)]
    of_system = Path(sys.executable).resolve() == PYTHON.resolve()
    here = of_system and sys.prefix != sys.base_prefix  # a virtual environment
    folder = Path(sys.prefix) if here else Path(NEW)
    options = ["--system-site-packages", *(["--upgrade"] if here else [])]
    steps.append(join([str(PYTHON), "-m", "venv", *options, str(folder)]))
    pip = str(folder / "bin" / "pip")
    if pinned or not here:  # with edgeseg, so that pip finds versions that fit to all
        steps.append(join([pip, "install", *pinned, _edgeseg(here)]))
    found = [name for name in instead_of if installed(name)] or list(instead_of[:1])
    if found:
        steps.append(join([pip, "uninstall", "-y", *found]))
    return " && ".join(steps)


def is_like_system() -> bool:
    """Whether this Python can import what is built for the distribution's."""
    return sys.version_info[:2] == (3, _minor())


def _minor() -> int:
    """Return the minor version of the distribution's Python, 11 for 3.11; 0 if unknown."""
    *_, minor = PYTHON.resolve().name.rpartition(".")
    return int(minor) if minor.isdecimal() else 0


def _edgeseg(here: bool) -> str:
    """Return edgeseg as pip's requirement, with its runtimes.

    Here, it is installed, and pip asks no index for it. Elsewhere, it is installed from where this
    one came from.
    """
    runtimes = {"cpu": installed("onnxruntime"), "openvino": installed("openvino")}
    extras = ",".join(name for name, version in runtimes.items() if version) or "cpu"
    if here and installed("edgeseg"):
        return f"edgeseg[{extras}]"
    try:
        origin = json.loads(distribution("edgeseg").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        origin = {}
    path = unquote(urlsplit(origin.get("url", "")).path)
    return f"{path if path and Path(path).exists() else '.'}[{extras}]"
