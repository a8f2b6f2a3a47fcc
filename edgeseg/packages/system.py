"""Commands that bring the distribution's packages into a Python environment of edgeseg.

PyGObject and JetPack's TensorRT are built for the distribution's Python: an environment of another
Python cannot import them, and the commands make a new one beside it.
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


def apt_install(*packages: str) -> str:
    """Return the commands that install packages of the distribution."""
    sudo = "sudo " if hasattr(os, "geteuid") and os.geteuid() else ""
    return f"{sudo}apt-get update && {sudo}apt-get install -y {join(packages)}"


def system_packages(*packages: str, instead_of: Sequence[str] = ()) -> str:
    """Return the commands that let this environment, or a new one, import the packages.

    instead_of: distributions to uninstall, because they would be found first
    """
    steps = [apt_install("python3-venv", *packages)]
    of_system = Path(sys.executable).resolve() == PYTHON.resolve()
    here = of_system and sys.prefix != sys.base_prefix  # a virtual environment
    folder = Path(sys.prefix) if here else Path(NEW)
    options = ["--system-site-packages", *(["--upgrade"] if here else [])]
    steps.append(join([str(PYTHON), "-m", "venv", *options, str(folder)]))
    pip = str(folder / "bin" / "pip")
    if not here:
        steps.append(join([pip, "install", _edgeseg()]))
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


def _edgeseg() -> str:
    """Return edgeseg as pip's requirement, with its runtimes, from where this one came from."""
    runtimes = {"cpu": installed("onnxruntime"), "openvino": installed("openvino")}
    extras = ",".join(name for name, version in runtimes.items() if version) or "cpu"
    try:
        origin = json.loads(distribution("edgeseg").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        origin = {}
    path = unquote(urlsplit(origin.get("url", "")).path)
    return f"{path if path and Path(path).exists() else '.'}[{extras}]"
