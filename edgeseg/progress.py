"""Progress of long work with the time left: a bar on a terminal, lines in a log."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, cast

from edgeseg.console import STDERR, StandardError
from edgeseg.log import log

LOG_EVERY = 30.0  # seconds between lines where there is no terminal

Draw = Callable[[int, str], None]
"""Receives the number of finished steps and a note."""


class Task:
    """Counts steps; `advance` is cheap enough for every frame."""

    def __init__(self, title: str, total: int, done: int, draw: Draw | None = None) -> None:
        self._title, self._total, self._done, self._start = title, total, done, done
        self._began = self._logged = time.monotonic()
        self._draw = draw or self._log

    def advance(self, note: str = "") -> None:
        """Count one step; `note` is shown after the bar."""
        self._done += 1
        self._draw(self._done, note)

    def _log(self, done: int, note: str) -> None:
        now = time.monotonic()
        if now - self._logged > LOG_EVERY:
            self._logged = now
            pace = (now - self._began) / (done - self._start)
            left = pace * (self._total - done)
            log.info(f"{self._title} {done}/{self._total}  {note}  {left / 60:.1f} min left")


@contextmanager
def task(title: str, total: int, done: int = 0) -> Iterator[Task]:
    """Show a bar on standard error, or log lines, while the block runs."""
    if not (STDERR.isatty() and log.isEnabledFor(logging.INFO)):
        yield Task(title, total, done)
        return
    from rich.console import Console  # only a terminal needs it
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    file = cast(TextIO, StandardError(sys.stderr))
    with Progress(*columns, console=Console(file=file)) as progress:
        bar = progress.add_task(title, total=total, completed=done, note="")
        yield Task(title, total, done, lambda n, text: progress.update(bar, completed=n, note=text))
