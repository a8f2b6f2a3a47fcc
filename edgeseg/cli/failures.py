"""What ends a command: errors of the user, the system and the packages, as an EdgesegError.

Whatever `as_error` does not know is a mistake of edgeseg itself: a traceback and exit code 1.
"""

from typing import Any

import typer

from edgeseg.errors import EdgesegError
from edgeseg.packages.failures import known_error

UsageError = typer.BadParameter.__base__  # of the click that this Typer brings or requires
assert UsageError is not None

REPORT = "This is a mistake in edgeseg. Please report it with these lines and `edgeseg doctor`."


def as_error(error: BaseException) -> EdgesegError | None:
    """Return an exception as an error with a remedy; None for a mistake of edgeseg itself."""
    if isinstance(error, UsageError):  # type: ignore[arg-type]
        return _usage(error)
    return known_error(error)


def _usage(error: Any) -> EdgesegError:
    place = error.ctx.command_path if error.ctx else "edgeseg"
    problem = error.format_message().replace("Value error, ", "")  # of Typer 0.29
    return EdgesegError(problem, remedy=f"{place} --help", code="usage")
