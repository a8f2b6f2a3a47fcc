"""The interface of the trackers, and what a training tells them.

    open(beginning)    connect; called again after an exception
    send(events)       record events in order; may wait, raise, and get an event twice
    close(complete)    mark the training as finished or stopped, and check what can be checked

All are called in one thread that belongs to the tracker (sender.py): the training waits for none.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """A training, before its first step."""

    name: str
    settings: Mapping[str, str]
    step: int = 0
    """Of all phases; above 0 for a resumed training, which repeats the steps from there on."""


@dataclass(frozen=True)
class Scalars:
    """Numbers of a step of all phases: name, such as `student/loss` -> value."""

    step: int
    values: Mapping[str, float]
    time: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Snapshot:
    """A picture of a step: RGB uint8 [h, w, 3]."""

    step: int
    name: str
    pixels: NDArray[np.uint8]
    time: float = field(default_factory=time.time)


Tracked = Scalars | Snapshot


class NotRecorded(Exception):
    """The other side understood and refuses: trying again is useless."""


class Tracker(Protocol):
    """See the module."""

    def open(self, beginning: Beginning) -> None: ...

    def send(self, events: Sequence[Tracked]) -> None: ...

    def close(self, complete: bool) -> None: ...
