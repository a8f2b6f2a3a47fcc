"""Give events to a tracker in a thread of its own: the training neither waits nor fails.

What cannot be recorded is kept, up to a bound, and tried again with growing pauses. The first
failure is logged, and at the end what was lost; nothing in between.
"""

import threading
import time
from collections import deque
from itertools import islice

from edgeseg.addresses import without_accounts
from edgeseg.log import log
from edgeseg.text import counted
from edgeseg.tracking.tracker import Beginning, NotRecorded, Scalars, Snapshot, Tracked, Tracker

INTERVAL = 2.0  # seconds between batches
LONGEST_PAUSE = 30.0  # seconds between tries
BATCH = 300  # events
MOST_EVENTS = 50_000  # that wait: about 20 MB, hours of training
MOST_SNAPSHOTS = 16  # each about 1 MB
TRIES = 3  # of a picture, beside values that are recorded


class Sender:
    """The thread of one tracker. title: as people call it, without accounts."""

    def __init__(self, title: str, tracker: Tracker, beginning: Beginning) -> None:
        self.title = title
        self.lost = {Scalars: 0, Snapshot: 0}
        """Events by kind that were given up."""
        self.given = {Scalars: 0, Snapshot: 0}
        self.reason = ""
        """Of the first failure."""
        self.doubt = ""
        """Why what was acknowledged is not believed."""
        self._tracker, self._beginning = tracker, beginning
        self._waiting: dict[type[Tracked], deque[Tracked]] = {Scalars: deque(), Snapshot: deque()}
        self._tries = 0
        """Of the first picture that waits."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._complete: bool | None = None
        self._until = float("inf")
        self._done = False
        self._thread = threading.Thread(target=self._run, name=f"track {title}", daemon=True)
        self._thread.start()

    def put(self, event: Tracked) -> None:
        """Take an event; one that finds no room is lost."""
        kind = type(event)
        with self._lock:
            self.given[kind] += 1
            if len(self._waiting[kind]) < (MOST_SNAPSHOTS if kind is Snapshot else MOST_EVENTS):
                self._waiting[kind].append(event)
            else:
                self.lost[kind] += 1

    def finish(self, complete: bool, deadline: float) -> None:
        """Tell the thread to record the rest until a deadline of `time.monotonic()`."""
        self._until = deadline
        self._complete = complete
        self._wake.set()

    def join(self) -> None:
        """Wait until the rest is recorded or the deadline is over, and log what was lost."""
        self._thread.join(max(self._until - time.monotonic(), 0))
        with self._lock:
            done, self._done = self._done, True  # a thread that still waits says nothing any more
            for kind, waiting in self._waiting.items():
                self.lost[kind] += len(waiting)
            lost, given = dict(self.lost), dict(self.given)
        if any(lost.values()):
            parts = [
                f"{lost[Scalars]} of {counted(given[Scalars], 'step')}",
                f"{lost[Snapshot]} of {counted(given[Snapshot], 'picture')}",
            ]
            log.warning(
                f"{self.title}: {' and '.join(parts)} were not recorded "
                f"({self.reason or 'no answer in time'}); the run directory has them"
            )
        elif self.doubt:
            log.warning(f"{self.title}: {self.doubt}")
        elif not done:
            log.warning(f"{self.title}: its end was not recorded ({self.reason or 'no answer'})")
        elif self.reason:
            log.info(f"{self.title}: all was recorded after all")

    def _run(self) -> None:
        opened, failures = False, 0
        while time.monotonic() < self._until and not self._done:
            pause = min(INTERVAL * 2**failures, LONGEST_PAUSE)
            if self._complete is None:
                self._wake.wait(pause if opened or failures else 0)
            elif failures:
                time.sleep(0.2)
            complete = self._complete
            try:
                if not opened:
                    self._tracker.open(self._beginning)
                    opened = True
                while self._send():
                    failures = 0
                if complete is not None:
                    self._tracker.close(complete)
                    self._done = True
            except NotRecorded as error:  # of the end
                self.doubt, self._done = _line(error), True
            except Exception as error:  # any library of any tracker, and whatever a server does
                opened, failures = False, failures + 1
                self._trouble(error)

    def _send(self) -> bool:
        """Send the values that wait, and then a picture; returns whether more is waiting."""
        while batch := self._first(Scalars, BATCH):
            self._give(batch)
        if picture := self._first(Snapshot, 1):
            try:
                self._tries += 1
                self._give(picture)
            except Exception:
                if self._tries >= TRIES:  # the server takes values, but has no place for pictures
                    self._remove(picture, lost=True)
                raise
        with self._lock:
            return any(self._waiting.values()) and not self._done

    def _first(self, kind: type[Tracked], most: int) -> list[Tracked]:
        with self._lock:
            return [] if self._done else list(islice(self._waiting[kind], most))

    def _give(self, batch: list[Tracked]) -> None:
        try:
            self._tracker.send(batch)
            self._remove(batch)
        except NotRecorded as error:
            self._trouble(error)
            self._remove(batch, lost=True)

    def _remove(self, batch: list[Tracked], *, lost: bool = False) -> None:
        with self._lock:
            if self._done:  # counted as lost by join
                return
            kind = type(batch[0])
            for _ in batch:
                self._waiting[kind].popleft()
            self.lost[kind] += lost * len(batch)
            self._tries *= kind is not Snapshot

    def _trouble(self, error: Exception) -> None:
        """Log the first failure."""
        first, self.reason = not self.reason, self.reason or _line(error)
        if first and not self._done:
            log.warning(f"{self.title}: {self.reason}; the training goes on")


def _line(error: Exception) -> str:
    """Return an error as one line without accounts; of a long one its beginning and its end.

    What libraries of HTTP raise begins with the address and ends with the cause.
    """
    text = without_accounts(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= 240 else f"{text[:100]} ... {text[-140:]}"
