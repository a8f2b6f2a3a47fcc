"""Optional packages, imported at first use."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from edgeseg.errors import MissingExtra


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional module; MissingExtra names the extra to install.

    The import error of an installed package is part of the message: a broken installation is not
    reported as a missing one.
    """
    try:
        return import_module(module)
    except (ImportError, OSError) as error:  # OSError: a shared library that does not load
        missing = isinstance(error, ModuleNotFoundError) and error.name == module.split(".")[0]
        state = "is not installed" if missing else "is installed but fails to import"
        raise MissingExtra(
            f"package {module} {state}: {error}",
            remedy=f'pip install {"" if missing else "--force-reinstall "}"edgeseg[{extra}]"',
            code="extra/missing" if missing else "extra/broken",
        ) from error


def installed(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return version(distribution.replace("_", "-"))
    except PackageNotFoundError:
        return None
