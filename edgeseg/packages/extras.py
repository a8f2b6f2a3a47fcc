"""Optional packages, imported at first use."""

import platform
import shlex
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from types import ModuleType

from edgeseg import __version__
from edgeseg.errors import MissingExtra
from edgeseg.packages.telemetry import import_silently

# Modules that are imported where they are used, without `require`, and the extra that has them.
EXTRAS = {
    **dict.fromkeys(("onnxscript", "safetensors", "timm", "torch"), "train"),
    **dict.fromkeys(("onnx", "onnx_ir", "onnxruntime", "scipy"), "cpu"),
    "av": "video",
    **dict.fromkeys(("jinja2", "markupsafe", "matplotlib"), "report"),
    "weasyprint": "pdf",
}


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional module; the remedy of MissingExtra installs the extra that has it.

    The import error of an installed package is part of the message: a broken installation is not
    reported as a missing one.
    """
    try:
        return import_silently(module)
    except (ImportError, OSError) as error:  # OSError: a shared library that does not load
        missing = isinstance(error, ModuleNotFoundError) and error.name == module.split(".")[0]
        state = "is not installed" if missing else "is installed but fails to import"
        raise MissingExtra(
            f"package {module} {state}: {error}",
            remedy=install_command(extra, *([] if missing else ["--force-reinstall"])),
            code="extra/missing" if missing else "extra/broken",
        ) from error


def missing_extra(error: ImportError) -> MissingExtra | None:
    """Explain an import that failed for want of an extra; None for any other module."""
    module = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or module not in EXTRAS:
        return None
    return MissingExtra(
        f"package {module} is not installed.",
        remedy=install_command(EXTRAS[module]),
        code="extra/missing",
    )


def install_command(extra: str, *options: str) -> str:
    """Return the pip command that installs the packages of an extra: edgeseg is on no index.

    An OpenCV that is there is kept: one of an index would hide that of a Jetson, with GStreamer.
    """
    try:
        lines = [line.partition(";") for line in requires("edgeseg") or ()]
    except PackageNotFoundError:  # run from the repository
        lines = []
    packages = [name.strip() for name, _, marker in lines if f"'{extra}'" in marker]
    if find_spec("cv2") is not None:
        packages = [name for name in packages if not name.startswith("opencv-python")]
    return shlex.join(["pip", "install", *options, *(packages or [f".[{extra}]"])])


def versions(*distributions: str) -> dict[str, str]:
    """Return the versions of edgeseg, Python and those of the distributions that are installed."""
    found = {name: installed(name) for name in distributions}
    known = {name: version for name, version in found.items() if version}
    return {"edgeseg": __version__, "python": platform.python_version()} | known


def installed(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return version(distribution.replace("_", "-"))
    except PackageNotFoundError:
        return None
