"""Progress of long work with the time left: a bar on a terminal, lines in a log."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TextIO, cast

from edgeseg.console import STDERR, StandardError
from edgeseg.log import log

LOG_EVERY = 30.0  # seconds between lines where there is no terminal
RECENT = 0.02  # weight of the last step in the pace: that of the last fifty or so

Draw = Callable[[int, str], None]
"""Receives the number of finished steps and a note."""


class Task:
    """Counts steps and predicts the time left; `advance` is cheap enough for every frame.

    pace: the seconds of a step that were expected, if any. after: those of the work that follows
    this task, which takes as much longer as the steps do.
    """

    def __init__(
        self,
        title: str,
        total: int,
        done: int,
        draw: Draw | None = None,
        *,
        pace: float | None = None,
        after: float = 0.0,
    ) -> None:
        self._title, self._total, self._done, self._start = title, total, done, done
        self._expected, self._after, self._pace = pace, after, 0.0
        self._last = self._logged = time.monotonic()
        self._draw = draw or self._log

    def advance(self, note: str = "") -> None:
        """Count one step; `note` is shown after the bar."""
        now = time.monotonic()
        self._done += 1
        share = max(1 / (self._done - self._start), RECENT)
        self._pace += share * (now - self._last - self._pace)
        self._last = now
        self._draw(self._done, note)

    def left(self) -> float:
        """Return the seconds left, this task's and those after it, at the pace of late."""
        slower = self._pace / self._expected if self._expected else 1.0
        return self._pace * (self._total - self._done) + self._after * slower

    def _log(self, done: int, note: str) -> None:
        if self._last - self._logged > LOG_EVERY:
            self._logged = self._last
            left = f"{self.left() / 60:.1f} min left"
            log.info(f"{self._title} {done}/{self._total}  {note}  {left}")


@contextmanager
def task(
    title: str, total: int, done: int = 0, *, pace: float | None = None, after: float = 0.0
) -> Iterator[Task]:
    """Show a bar on standard error, or log lines, while the block runs; pace, after: see Task."""
    if not (STDERR.isatty() and log.isEnabledFor(logging.INFO)):
        yield Task(title, total, done, pace=pace, after=after)
        return
    from rich.console import Console  # only a terminal needs it
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    file = cast(TextIO, StandardError(sys.stderr))
    with Progress(*columns, console=Console(file=file)) as progress:
        bar = progress.add_task(title, total=total, completed=done, note="", left="")

        def draw(n: int, note: str) -> None:
            left = f"{timedelta(seconds=round(shown.left()))} left"
            progress.update(bar, completed=n, note=note, left=left)

        shown = Task(title, total, done, draw, pace=pace, after=after)
        yield shown
