"""Long work shows how far it is and how long it will take: a bar on a terminal, lines in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LOG_EVERY = 30.0  # seconds between lines where there is no terminal


class Task:
    """One bar; `advance` is cheap enough for every frame."""

    def __init__(self, progress: Progress, title: str, total: int, done: int) -> None:
        self._progress = progress
        self._title, self._total, self._done, self._start = title, total, done, done
        self._began = self._logged = time.monotonic()
        self._id = progress.add_task(title, total=total, completed=done, note="")

    def advance(self, note: str = "") -> None:
        """Count one step; `note` stands behind the bar."""
        self._done += 1
        self._progress.update(self._id, completed=self._done, note=note)
        now = time.monotonic()
        if not self._progress.console.is_terminal and now - self._logged > LOG_EVERY:
            self._logged = now
            pace = (now - self._began) / (self._done - self._start)
            left = pace * (self._total - self._done)
            line = f"{self._title} {self._done}/{self._total}  {note}  {left / 60:.1f} min left"
            print(line, file=sys.stderr, flush=True)


@contextmanager
def task(title: str, total: int, done: int = 0) -> Iterator[Task]:
    """Show a bar on standard error while the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Task(progress, title, total, done)
