"""Libraries of the distribution that Python reaches through PyGObject, as Aravis and GStreamer.

PyGObject (python3-gi) is built for the distribution's Python. Every interpreter of the same version
can load it, also that of a virtual environment; only this package is taken from the distribution,
whose other packages stay hidden.
"""

import sys
import warnings
from functools import cache
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from edgeseg.errors import MissingExtra
from edgeseg.packages.system import apt_install, is_like_system, system_packages

DISTRIBUTION = Path("/usr/lib/python3/dist-packages")


def load_library(namespace: str, version: str, *packages: str) -> Any:
    """Return a library by its namespace, such as Aravis 0.8.

    packages: of the distribution, with the library and its description. MissingExtra: they, or
    PyGObject, are not installed, or PyGObject is built for another Python; the remedy installs all.
    """
    try:
        with warnings.catch_warnings():  # its importer is of the old kind
            warnings.simplefilter("ignore", ImportWarning)
            _import_gi().require_version(namespace, version)
            return import_module(f"gi.repository.{namespace}")
    except (ImportError, ValueError) as error:  # ValueError: the namespace is unknown
        wanted = ("python3-gi", *packages)
        raise MissingExtra(
            f"{namespace} {version} is unavailable: {error}.",
            remedy=apt_install(*wanted) if is_like_system() else system_packages(*wanted),
            code="extra/missing",
        ) from error


@cache
def _import_gi() -> Any:
    """Import PyGObject, of this environment or of the distribution; ImportError without one."""
    try:
        return import_module("gi")
    except ModuleNotFoundError as error:
        if error.name != "gi":
            raise
    folder = DISTRIBUTION / "gi"
    if not (folder / "__init__.py").is_file():
        raise ImportError("python3-gi is not installed")
    if not any((folder / f"_gi{suffix}").is_file() for suffix in EXTENSION_SUFFIXES):
        raise ImportError(f"python3-gi is not built for Python {sys.version.split()[0]}")
    return _load("gi", folder)


def _load(name: str, folder: Path) -> ModuleType:
    """Import a package from a folder that is not on the path of modules."""
    spec = spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
