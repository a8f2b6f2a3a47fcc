"""What edgeseg logs, as a list of lines."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]):
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record):
        self._lines.append(record.getMessage())


@contextmanager
def logged() -> Iterator[list[str]]:
    """Yield a list that fills with the messages of the "edgeseg" logger, from INFO on."""
    from edgeseg import log

    lines: list[str] = []
    handler, level = _Lines(lines), log.log.level
    log._logged.clear()  # a test hears what an earlier one has heard
    log._warned.clear()
    log.log.addHandler(handler)
    log.log.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        log.log.removeHandler(handler)
        log.log.setLevel(level)
