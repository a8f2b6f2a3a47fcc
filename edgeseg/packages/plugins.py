"""Loads what another package offers as an entry point."""

from importlib.metadata import EntryPoint
from typing import Any

from edgeseg.errors import ConfigError, EdgesegError
from edgeseg.files import quoted, shown


def load_plugin(entry: EntryPoint) -> Any:
    """Return what an entry point names.

    ConfigError (`plugin/broken`): its package cannot be imported, or does not have it.
    """
    try:
        return entry.load()
    except EdgesegError:
        raise
    except Exception as error:  # of any code
        package = entry.dist.name if entry.dist is not None else entry.module
        raise ConfigError(
            f"cannot load {entry.name} from the package {package}: {type(error).__name__}: "
            f"{shown(str(error))}",
            remedy=f"pip install --upgrade {quoted(package)}",
            code="plugin/broken",
        ) from error
