"""The seam between edgeseg and the runtimes: a slot to fill, a backend to run.

    backend.new_slot()   buffers in the memory that suits this runtime; they are the backend's
    backend.bind(slot)   addresses fixed, buffers allocated: once
    backend.run()        reads slot.frame and slot.threshold, rewrites mask, score and map in place
    backend.close()      releases what was opened, its slots too

A runtime that can compute one frame while the next is brought is `Pipelined`: `run` is then
`start` and `finish`, and a `twin` has a slot of its own on the same engine.

Pre- and post-processing are inside the graph, so backends cannot disagree about them.
"""

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard

T = TypeVar("T")

INPUTS = ("frame", "threshold")
OUTPUTS = ("mask", "score", "anomaly_map")


@dataclass(frozen=True)
class Slot:
    """The buffers of one frame in flight; allocated once, reused for ever.

    frame:       uint8 [N, H, W, C], in the graph's frame format
    threshold:   float32 [1], on the anomaly map
    mask:        uint8 [N, H, W], 0 good, 255 anomalous
    score:       float32 [N]
    anomaly_map: float32 [N, S, S]
    """

    frame: NDArray[np.uint8]
    threshold: NDArray[np.float32]
    mask: NDArray[np.uint8]
    score: NDArray[np.float32]
    anomaly_map: NDArray[np.float32]

    @classmethod
    def on_host(cls, card: GraphCard) -> "Slot":
        """Allocate ordinary memory for a graph, with the card's threshold set."""
        n, height, width, _ = card.frame_shape
        side = card.image_size
        return cls(
            frame=np.zeros(card.frame_shape, np.uint8),
            threshold=np.full(1, card.threshold, np.float32),
            mask=np.zeros((n, height, width), np.uint8),
            score=np.zeros(n, np.float32),
            anomaly_map=np.zeros((n, side, side), np.float32),
        )

    def keep_until_exit(self) -> None:
        """Leave the memory to the end of the process, for who may still write there.

        Ordinary memory lasts as long as anyone has a hold of it: nothing is to be done.
        """

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the buffers by their names in the graph."""
        return {name: getattr(self, name) for name in INPUTS + OUTPUTS}


class Backend(Protocol):
    """A fused graph, ready to run: frames in, masks out, nothing allocated by `run`."""

    @property
    def name(self) -> str:
        """The runtime, its version and where it computes: `onnxruntime 1.31.1, CPU, 2 threads`."""
        ...

    @property
    def card(self) -> GraphCard: ...

    def new_slot(self) -> Slot:
        """Allocate a slot, zeroed, with the card's threshold; valid until the backend closes."""
        ...

    def bind(self, slot: Slot) -> None: ...

    def run(self) -> None: ...

    def close(self) -> None: ...

    def __enter__(self: T) -> T: ...

    def __exit__(self, *raised: object) -> None: ...


@runtime_checkable
class Pipelined(Backend, Protocol):
    """A backend whose `run` can be left alone between its beginning and its end."""

    @property
    def compute_seconds(self) -> float | None:
        """What the device took for the last finished frame, by its own clock; None without one."""
        ...

    def start(self) -> None:
        """Begin with the slot's frame and return; until `finish` the slot is the backend's."""
        ...

    def finish(self) -> None:
        """Wait until the slot holds the mask, the score and the map of its frame."""
        ...

    def second(self) -> "Pipelined":
        """Open a second backend on the same engine; it closes with this one."""
        ...


class Closing:
    """Makes a backend a context manager; whoever opens, closes."""

    def close(self) -> None:
        """Release what was opened; a backend that holds nothing inherits this."""

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


class OnHost(Closing):
    """A backend that computes where the program's own memory is."""

    card: GraphCard

    def new_slot(self) -> Slot:
        """Allocate a slot in ordinary memory."""
        return Slot.on_host(self.card)
