"""A backend, a source and a sink with fixed answers."""

import threading
from collections.abc import Callable
from copy import copy

import numpy as np

from edgeseg.cards import GraphCard
from edgeseg.runtime.base import OnHost, Slot
from edgeseg.runtime.fake import FakeBackend
from edgeseg.stream.sink.base import FrameSink, Record, Result
from edgeseg.stream.source.base import Frame, Source
from tests.kit.cards import make_card


class RedBackend(FakeBackend):
    """Red is anomalous; counts the runs of all contexts and calls `on_run` with the number."""

    def __init__(self, card: GraphCard | None = None, on_run: Callable[[int], None] | None = None):
        super().__init__(card or make_card())
        self._counts = {"runs": 0, "bound": 0}  # shared by all contexts
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
    """A RedBackend that computes one frame at a time, synchronously."""

    name = "plain, CPU, 1 thread"

    def __init__(self, card: GraphCard | None = None, on_run: Callable[[int], None] | None = None):
        self._red = RedBackend(card, on_run)
        self.card = self._red.card

    def bind(self, slot: Slot) -> None:
        self._red.bind(slot)

    def run(self) -> None:
        self._red.run()

    def second(self) -> "PlainBackend":
        other = copy(self)
        other._red = self._red.second()
        return other

    @property
    def runs(self) -> int:
        return self._red.runs

    @property
    def bound(self) -> int:
        return self._red.bound


REQUESTS = 3  # in a stream with one frame in flight; each is bound and run once as a warm-up


class ListSource(Source):
    """Delivers BGR images, a broken frame for a text (its fault); an exception is raised."""

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
        frame.stamp()
        if isinstance(item, str):
            frame.fault = item
            self.broken += 1
        else:
            frame.image = item
        return True


class Collector(FrameSink):
    """Keeps every result; ends the stream after `limit` of them."""

    def __init__(self, limit: int | None = None):
        self.limit = limit
        self.results: list[Record] = []
        self.threshold: float | None = None
        self.masks: list[np.ndarray] = []
        self.closed = threading.Event()

    def write(self, result: Result) -> bool:
        self.results.append(result.record)
        self.masks.append(result.buffers.mask.copy())
        self.threshold = result.threshold
        return len(self.results) != self.limit

    def close(self) -> None:
        self.closed.set()


def solid_image(red=0, height=48, width=64):
    """A BGR image [height, width, 3] of one color."""
    return np.full((height, width, 3), (10, 20, red), np.uint8)
