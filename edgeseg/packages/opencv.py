"""The installed OpenCV: what its versions and builds from 4.5.4 to 5 do differently.

logging         cv2.setLogLevel up to 4.12, cv2.utils.logging from 4.13
FFmpeg          one thread per capture can be requested from 4.7
GStreamer       timeouts from 4.7
headless        no windows
"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from edgeseg.errors import MissingExtra
from edgeseg.packages.system import apt_install

SILENT = 0  # of OpenCV's log levels
GSTREAMER_TIMEOUTS = (4, 7)  # first version with timeouts


def silence(cv2: ModuleType) -> None:
    """Suppress warnings of OpenCV and FFmpeg on standard error; our errors report the cause."""
    logging = getattr(cv2.utils, "logging", cv2)
    if hasattr(logging, "setLogLevel"):
        logging.setLogLevel(SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET


def parameters(cv2: ModuleType, wanted: Mapping[str, int]) -> list[int]:
    """Return the parameters of a VideoCapture: those that this OpenCV has, as key, value, ...

    wanted: `{"CAP_PROP_N_THREADS": 1}`. A VideoCapture with an unknown one would not open.
    """
    known = ((getattr(cv2, name, None), value) for name, value in wanted.items())
    return [number for key, value in known if key is not None for number in (key, value)]


@contextmanager
def openable(path: Path) -> Iterator[str]:
    """Yield a name of a file for VideoCapture and VideoWriter, valid while it is opened.

    OpenCV crashes on a name that is not UTF-8, takes `%` for a number of images and `a:b` for a
    protocol. Such a file is reached through a link to its folder or to itself.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100  # resolve() would follow links
    if _plain(str(absolute)):
        yield str(absolute)
        return
    with tempfile.TemporaryDirectory(prefix="edgeseg-") as folder:
        plain = _plain(absolute.name)
        suffix = absolute.suffix if _plain(absolute.suffix) else ""  # tells the container
        link = Path(folder) / ("folder" if plain else f"file{suffix}")
        link.symlink_to(absolute.parent if plain else absolute)
        yield str(link / absolute.name if plain else link)


def version(cv2: ModuleType) -> tuple[int, int]:
    """Return the major and the minor version: (4, 5) for 4.5.4."""
    major, minor, *_ = cv2.__version__.split(".")
    return int(major), int(minor)


def built(build: str, name: str) -> str:
    """Return an entry of `cv2.getBuildInformation()`: `NO` for the line `GStreamer:   NO`."""
    line = re.search(rf"^\s*{name}:[ \t]*(.*)$", build, re.MULTILINE)
    return line.group(1).strip() if line else ""


def has_gstreamer(cv2: ModuleType) -> bool:
    """Whether OpenCV opens GStreamer pipelines; no wheel on PyPI does."""
    return built(cv2.getBuildInformation(), "GStreamer").startswith("YES")


def import_opencv() -> ModuleType:
    """Import cv2; MissingExtra tells why it cannot be imported, and what to install."""
    try:
        import cv2
    except ImportError as error:
        if explained := failed_import(error):
            raise explained from error
        raise
    return cv2


def failed_import(error: ImportError) -> MissingExtra | None:
    """Explain why `import cv2` failed; None if another module was to be imported."""
    if not _is_opencv(error):
        return None
    if error.name == "cv2" and isinstance(error, ModuleNotFoundError):
        return MissingExtra(
            "OpenCV is not installed.",
            remedy="pip install opencv-python",
            code="extra/missing",
        )
    if library := re.match(r"(lib(GL|gthread-2\.0|glib-2\.0)\.so\S*): cannot open", str(error)):
        return MissingExtra(
            f"OpenCV needs the system library {library[1]}, which is not installed.",
            remedy=apt_install("libgl1", "libglib2.0-0"),
            code="extra/system-library",
        )
    if "numpy" in str(error) or "_ARRAY_API" in str(error):
        return MissingExtra(
            "this OpenCV was built for NumPy 1 and does not work with NumPy 2.",
            remedy="pip install 'numpy<2'",
            code="extra/numpy",
        )
    return MissingExtra(
        f"OpenCV is installed but fails to import: {error}",
        remedy="pip install --force-reinstall opencv-python",
        code="extra/broken",
    )


def _plain(name: str) -> bool:
    return name.isprintable() and "%" not in name


def _is_opencv(error: ImportError) -> bool:
    """Whether cv2 is what could not be imported, or was being imported at the time."""
    if "core.multiarray failed to import" in str(error):  # of the distribution's, which is one .so
        return True
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_globals.get("__name__", "").split(".")[0] == "cv2":
            return True
        frame = frame.tb_next
    return (error.name or "").split(".")[0] == "cv2"
