"""The threads of the outputs: each has one, so that none waits for another, whatever it does."""

import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgeseg.errors import EdgesegError
from edgeseg.log import log
from edgeseg.station.config import OutputConfig
from edgeseg.station.cursors import Cursors
from edgeseg.station.journal import JournalReader
from edgeseg.station.outputs.base import Deliverer, Indicator, Output, StationState

BATCH = 200  # records of one `send`
IDLE = 1.0  # seconds until a deliverer looks into the journal by itself
BEAT = 0.5  # seconds between two calls of an indicator without a change
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds before an output that failed is tried again
JITTER = 0.5  # share of a pause that is drawn, or all stations of a plant would try at once


class Worker(ABC):
    """Runs one output in a thread, and opens it again after every exception."""

    def __init__(self, config: OutputConfig, output: Output) -> None:
        self.config, self._output = config, output
        self.problem = ""
        """The last exception; empty while it works."""
        self.failures = 0
        self.done = 0
        """Records that were delivered, or states that were shown."""
        self._changed = threading.Condition()
        self._called = False
        self._busy_since: float | None = None
        self._bad_since: float | None = time.monotonic()  # it is not open yet
        self._stopping = False
        name = f"output {config.name}"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """There is something new; never waits."""
        with self._changed:
            self._called = True
            self._changed.notify_all()

    def stop(self, timeout: float) -> None:
        """Ask the thread to end; one that waits for its peer is left behind."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout)

    @property
    def works(self) -> bool:
        """Whether it has taken what it was given last."""
        return self._bad_since is None

    @property
    def bad_for(self) -> float:
        """Seconds since which it has taken nothing that it should have taken; 0: it works."""
        since = [moment for moment in (self._bad_since, self._busy_since) if moment is not None]
        return time.monotonic() - min(since) if since else 0.0

    def status(self) -> dict[str, Any]:
        """Return how it does, for people and programs."""
        return {
            "kind": self.config.kind,
            "done": self.done,
            "failures": self.failures,
            "problem": self.problem,
            "bad_for": round(self.bad_for, 1),
        }

    def _work(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping:
            before = self.done
            try:
                self._timed(self._output.open)
                self._serve()
            except Exception as error:  # of any kind: a plugin must not end the gateway
                self._fail(error)
            with suppress(Exception):
                self._output.close()
            pause = FIRST_PAUSE if self.done > before else pause
            self._wait(pause * (1 - JITTER * random.random()))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _fail(self, error: Exception) -> None:
        self.failures += 1
        self._busy_since = None
        self._bad_since = self._bad_since or time.monotonic()
        found, fix = str(error) or type(error).__name__, ""
        if isinstance(error, EdgesegError):
            found, fix = error.problem, f"\n  fix: {error.remedy}"
        if found != self.problem:
            log.warning(f"output {self.config.name} failed: {found}; it is tried again{fix}")
        self.problem = found

    def _works(self) -> None:
        """It has taken what it was given: an `open` alone proves nothing."""
        if self.problem:
            log.info(f"output {self.config.name}: works again")
        self._bad_since, self.problem = None, ""

    def _serve(self) -> None:
        """Serve until an exception or the end."""
        while not self._stopping:
            self._step()

    @abstractmethod
    def _step(self) -> None:
        """Do what is due, or wait for it."""

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, seconds)

    def _sleep(self, seconds: float) -> None:
        """Wait until something is new."""
        with self._changed:
            self._changed.wait_for(lambda: self._called or self._stopping, seconds)
            self._called = False

    def _timed(self, call: Callable[[], Any]) -> Any:
        """Call the output; meanwhile `bad_for` counts."""
        self._busy_since = time.monotonic()
        found = call()
        self._busy_since = None
        return found


class Delivery(Worker):
    """Brings every record of the journal to a deliverer, in order, at least once."""

    _output: Deliverer

    def __init__(
        self, config: OutputConfig, output: Deliverer, journal: Path, cursors: Cursors
    ) -> None:
        super().__init__(config, output)
        self._journal, self._cursors = journal, cursors
        self.cursor = cursors.of(config.name)

    def status(self) -> dict[str, Any]:
        return super().status() | {"cursor": self.cursor}

    def _serve(self) -> None:
        with JournalReader(self._journal) as self._reader:
            super()._serve()

    def _step(self) -> None:
        batch = self._reader.after(self.cursor, BATCH)
        if not batch:
            self._timed(self._output.check)
            self._works()
            self._sleep(IDLE)
            return
        acknowledged = self._timed(lambda: self._output.send(batch))
        last = min(int(acknowledged), batch[-1].id)
        if last < batch[0].id:
            raise OSError(f"acknowledged none of {len(batch)} records")
        self._works()
        self.done += sum(each.id <= last for each in batch)
        self._cursors.move(self.config.name, last)
        self.cursor = last


class Indication(Worker):
    """Shows an indicator the newest state."""

    _output: Indicator

    def __init__(
        self, config: OutputConfig, output: Indicator, newest: Callable[[], StationState]
    ) -> None:
        super().__init__(config, output)
        self._newest = newest

    def _step(self) -> None:
        state = self._newest()
        self._timed(lambda: self._output.show(state))
        self._works()
        self.done += 1
        self._sleep(BEAT)
