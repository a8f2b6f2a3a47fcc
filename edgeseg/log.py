"""The "edgeseg" logger, and the handler that the command line installs.

The library logs and prints nothing: a program that imports it decides what is shown.
"""

import logging

from edgeseg.console import STDERR, printable

log = logging.getLogger("edgeseg")

_logged: set[str] = set()
_warned: dict[str, None] = {}


def log_once(line: str) -> None:
    """Log a line at its first occurrence in this process; the CLI omits it under `--json`."""
    if line not in _logged:
        _logged.add(line)
        log.info(line, extra={"once": True})


def warn_once(line: str) -> None:
    """Log a warning at its first occurrence in this process; a report in JSON has it too."""
    if line not in _warned:
        _warned[line] = None
        log.warning(line)


def warned() -> list[str]:
    """Return the lines of `warn_once`."""
    return list(_warned)


class _ToStandardError(logging.Handler):
    """Write messages to standard error, and never raise."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "warning: " if record.levelno == logging.WARNING else ""
        STDERR.write(f"{prefix}{printable(record.getMessage())}\n")


def install_handler(level: int, *, machine_readable: bool = False) -> None:
    """Show messages of `level` and above on standard error; for programs, not for libraries."""
    _warned.clear()
    handler = _ToStandardError()
    if machine_readable:
        handler.addFilter(lambda record: not getattr(record, "once", False))
    log.handlers[:] = [handler]
    log.setLevel(level)
    log.propagate = False
