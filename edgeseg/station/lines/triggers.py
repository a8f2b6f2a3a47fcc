"""Triggers: somebody asks for a frame, and gets an answer in time, if only that it is late."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edgeseg.stream.source.base import Frame, TriggerId


@dataclass(frozen=True)
class _Asked:
    """A trigger that waits for its frame."""

    trigger: TriggerId
    at: int
    """`time.perf_counter_ns`"""


class SoftwareTriggers:
    """Selects the first frame that arrives after each trigger."""

    def __init__(self, deadline: float, most: int, late: Callable[[TriggerId], None]) -> None:
        """deadline: seconds; most: triggers that may wait; late: answers one without a frame."""
        self._deadline, self._most, self._late = round(deadline * 1e9), most, late
        self._asked: deque[_Asked] = deque()
        self._lock = threading.Lock()
        self._count = 0
        self.due: int | None = None
        self.dropped = self.missed = 0

    @property
    def waiting(self) -> int:
        """How many triggers have no answer yet."""
        with self._lock:
            return len(self._asked)

    def ask(self, part: str = "") -> TriggerId:
        """Ask for a frame; one too many is answered with `late` at once."""
        with self._lock:
            self._count += 1
            trigger = TriggerId(self._count, part)
            full = len(self._asked) >= self._most
            if not full:
                self._asked.append(_Asked(trigger, time.perf_counter_ns()))
        if full:
            self._answer([trigger])
        return trigger

    def takes(self, frame: Frame) -> bool:
        """Whether a frame answers the oldest trigger; the frame gets its number and its part."""
        with self._lock:
            if self._asked and self._asked[0].at <= frame.arrival:
                frame.trigger = self._asked.popleft().trigger
                return True
        self.dropped += 1
        return False

    def expire(self, *, all_of_them: bool = False) -> None:
        """Answer the triggers that have waited for too long, or all, at the end of the line."""
        before = time.perf_counter_ns() - self._deadline
        gone = []
        with self._lock:
            while self._asked and (all_of_them or self._asked[0].at < before):
                gone.append(self._asked.popleft().trigger)
        self._answer(gone)

    def _answer(self, triggers: list[TriggerId]) -> None:
        self.missed += len(triggers)
        for trigger in triggers:
            self._late(trigger)


class HardwareTriggers:
    """Numbers the frames of a camera that is triggered by wire: each is an answer."""

    def __init__(self) -> None:
        self._count = 0
        self.part = ""
        """The number of the part that comes next."""
        self.due: int | None = None
        self.dropped = self.missed = 0

    def takes(self, frame: Frame) -> bool:
        """Take every frame, and give it the next number."""
        self._count += 1
        frame.trigger = TriggerId(self._count, self.part)
        return True
