"""Optional packages, imported at first use; a missing one names the command that installs it."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from edgeseg.errors import MissingExtra


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional module, or say which extra brings it.

    A package that is there and breaks on import is reported with its own words: a broken
    installation must not look like a missing one.
    """
    try:
        return import_module(module)
    except (ImportError, OSError) as error:  # OSError: a shared library that does not load
        missing = isinstance(error, ModuleNotFoundError) and error.name == module.split(".")[0]
        state = "is not installed" if missing else "is installed and fails to import"
        raise MissingExtra(
            f"The package '{module}' {state} ({error}).",
            remedy=f'pip install "edgeseg[{extra}]"',
        ) from error


def installed(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return version(distribution.replace("_", "-"))
    except PackageNotFoundError:
        return None
