"""Write TensorBoard's event files to `tensorboard/` in the run directory.

With tensorboardX, below its SummaryWriter: whose queue of ten events has no reader any more after
a failed write, and the next call waits for ever.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgeseg.packages.extras import require
from edgeseg.tracking.tracker import Beginning, Scalars, Tracked

EVENTS = "tensorboard"
"""Folder in a run directory."""


class TensorBoard:
    """One event file for each time that it is opened; readers join them."""

    def __init__(self, run: Path) -> None:
        self.folder = run / EVENTS
        self._begun = False
        self._writer: Any = None
        self._proto = require("tensorboardX.proto.event_pb2", extra="tensorboard")
        self._summary = require("tensorboardX.summary", extra="tensorboard")
        self._writers = require("tensorboardX.event_file_writer", extra="tensorboard")

    def open(self, beginning: Beginning) -> None:
        """Begin a file; the first of a resumed training hides the steps that are repeated."""
        self._release()
        self.folder.mkdir(exist_ok=True)
        count = len(list(self.folder.iterdir()))  # readers sort the names, which have whole seconds
        suffix = f".{count:06d}.{os.getpid()}"
        self._writer = self._writers.EventsWriter(str(self.folder / "events"), suffix)
        if not self._begun and beginning.step:
            start = self._proto.SessionLog(status=self._proto.SessionLog.START)
            self._write(beginning.step, session_log=start)
        if not self._begun:
            rows = [f"| {name} | {value} |" for name, value in beginning.settings.items()]
            table = "\n".join(["| setting | value |", "| --- | --- |", *rows])
            self._write(beginning.step, summary=self._summary.text("settings", table))
        self._writer.flush()
        self._begun = True

    def send(self, events: Sequence[Tracked]) -> None:
        """Append events to the file."""
        for event in events:
            if isinstance(event, Scalars):
                for name, value in event.values.items():
                    self._write(event.step, event.time, summary=self._summary.scalar(name, value))
            else:
                picture = self._summary.image(event.name, event.pixels, dataformats="HWC")
                self._write(event.step, event.time, summary=picture)
        self._writer.flush()

    def close(self, complete: bool) -> None:
        """Close the file; it does not say whether the training is complete."""
        self._writer.close()

    def _write(self, step: int, seconds: float | None = None, **content: Any) -> None:
        wall_time = time.time() if seconds is None else seconds
        self._writer.write_event(self._proto.Event(step=step, wall_time=wall_time, **content))

    def _release(self) -> None:
        if self._writer is not None:
            with suppress(OSError):  # told before: it is why the file is left
                self._writer.close()
