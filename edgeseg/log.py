"""The "edgeseg" logger, and the handler that the command line installs.

The library logs and prints nothing: a program that imports it decides what is shown.
"""

import logging
import sys

log = logging.getLogger("edgeseg")

_logged: set[str] = set()


def log_once(line: str) -> None:
    """Log a line at its first occurrence in this process; the CLI omits it under `--json`."""
    if line not in _logged:
        _logged.add(line)
        log.info(line, extra={"once": True})


class _StandardError(logging.Handler):
    """Write messages to whatever `sys.stderr` is at the moment, and never raise."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "warning: " if record.levelno == logging.WARNING else ""
        try:
            print(prefix + record.getMessage(), file=sys.stderr, flush=True)
        except (OSError, ValueError):  # a closed pipe or a full disk must not end the work
            pass


def install_handler(level: int, *, machine_readable: bool = False) -> None:
    """Show messages of `level` and above on standard error; for programs, not for libraries."""
    handler = _StandardError()
    if machine_readable:
        handler.addFilter(lambda record: not getattr(record, "once", False))
    log.handlers[:] = [handler]
    log.setLevel(level)
    log.propagate = False
