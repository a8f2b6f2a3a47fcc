"""A backend and sources whose right answers are known by heart."""

import threading
from collections.abc import Callable

import numpy as np

from edgeseg.cards import GraphCard
from edgeseg.runtime.base import OnHost, Slot
from edgeseg.runtime.fake import FakeBackend
from edgeseg.stream.pipeline.results import Record, Result
from edgeseg.stream.pipeline.ring import Frame, Source
from edgeseg.stream.sink.sinks import Sink
from tests.kit.cards import make_card


class RedBackend(FakeBackend):
    """What is red is anomalous; counts all twins' runs and calls `on_run` with the number."""

    def __init__(self, card: GraphCard | None = None, on_run: Callable[[int], None] | None = None):
        super().__init__(card or make_card())
        self._counts = {"runs": 0, "bound": 0}  # one dictionary for all twins
        self._on_run = on_run

    @property
    def runs(self) -> int:
        return self._counts["runs"]

    @property
    def bound(self) -> int:
        return self._counts["bound"]

    def bind(self, slot: Slot) -> None:
        super().bind(slot)
        self._counts["bound"] += 1

    def run(self) -> None:
        super().run()
        self._counts["runs"] += 1
        if self._on_run:
            self._on_run(self.runs)


class PlainBackend(OnHost):
    """A RedBackend that computes one frame at a time: no start, no twin."""

    name = "plain, CPU, 1 thread"

    def __init__(self, card: GraphCard | None = None, on_run: Callable[[int], None] | None = None):
        self._red = RedBackend(card, on_run)
        self.card = self._red.card
        self.bind, self.run = self._red.bind, self._red.run

    @property
    def runs(self) -> int:
        return self._red.runs

    @property
    def bound(self) -> int:
        return self._red.bound


LANES = 3  # of a stream with one in flight: as many bindings and runs of warm-up


class ListSource(Source):
    """Gives BGR images; an exception in the list is raised in its turn."""

    def __init__(self, items, *, live=False, fps=25.0):
        super().__init__("list", fps)
        self.live = live
        self._items = iter(items)

    def read_into(self, frame: Frame) -> bool:
        item = next(self._items, None)
        if item is None:
            return False
        if isinstance(item, BaseException):
            raise item
        frame.image = item
        frame.stamp()
        return True


class Collector(Sink):
    """Keeps what it was given; says that it wants no more after `limit` results."""

    def __init__(self, limit: int | None = None):
        self.limit = limit
        self.results: list[Record] = []
        self.threshold: float | None = None
        self.masks: list[np.ndarray] = []
        self.closed = threading.Event()

    def write(self, result: Result) -> bool:
        self.results.append(result.record)
        self.masks.append(result.picture.mask.copy())
        self.threshold = result.threshold
        return len(self.results) != self.limit

    def close(self) -> None:
        self.closed.set()


def picture(red=0, height=48, width=64):
    """BGR [height, width, 3] of one color."""
    return np.full((height, width, 3), (10, 20, red), np.uint8)
