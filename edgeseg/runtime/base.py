"""The interface between edgeseg and the runtimes.

    backend.new_slot()   allocates the buffers of one request in memory that suits the runtime
    backend.bind(slot)   fixes addresses and allocates what `run` needs
    backend.run()        reads slot.frame and slot.threshold; writes the outputs
    backend.close()      frees everything, slots included

    backend.second()     opens another request on the same graph, with a slot of its own

A runtime that overlaps requests is `Pipelined`: `run` is `start` plus `finish`. One that also takes
frames from the memory of a GPU is `OnGpu`. Pre- and post-processing are part of the graph.
"""

from copy import copy
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.closing import Closing
from edgeseg.cuda.array import DeviceArray

T = TypeVar("T")

PAGE = 4096  # bytes
INPUTS = ("frame", "threshold")
OUTPUTS = ("mask", "score", "anomaly_map", "input_check")
"""A graph that was exported without an input check lacks the last one."""


def tensor_types(card: GraphCard) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Return the shapes and types of the tensors that a graph has, inputs first."""
    n, (height, width) = card.frame_shape[0], card.frame_size
    uint8, float32 = np.dtype(np.uint8), np.dtype(np.float32)
    tensors: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {
        "frame": (card.frame_shape, uint8),
        "threshold": ((1,), float32),
        "mask": ((n, height, width), uint8),
        "score": ((n,), float32),
        "anomaly_map": ((n, *card.map_size), float32),
    }
    if card.input_check:
        tensors["input_check"] = ((n, len(card.input_check)), float32)
    return tensors


def no_check(card: GraphCard) -> dict[str, NDArray[Any]]:
    """Return the array of a slot for a graph without an input check, by its name."""
    return {"input_check": np.zeros((card.frame_shape[0], 0), np.float32)}


def output_names(card: GraphCard) -> tuple[str, ...]:
    """Return the names of a graph's outputs, in order."""
    return tuple(name for name in tensor_types(card) if name in OUTPUTS)


@dataclass(frozen=True)
class Slot:
    """The buffers of one request in flight, allocated once and reused.

    frame:       uint8, the shape of the card, in its frame format: [N, H, W, C] for bgr, rgb, gray
    threshold:   float32 [1], of the anomaly map
    mask:        uint8 [N, H, W], 0 good, 255 anomalous
    score:       float32 [N]
    anomaly_map: float32 [N, h, w], of card.map_size; what is outside of card.content does not count
    input_check: float32 [N, K], the columns of the card's `input_check`; [N, 0] without them
    """

    frame: NDArray[np.uint8]
    threshold: NDArray[np.float32]
    mask: NDArray[np.uint8]
    score: NDArray[np.float32]
    anomaly_map: NDArray[np.float32]
    input_check: NDArray[np.float32]

    @classmethod
    def on_host(cls, card: GraphCard) -> "Slot":
        """Allocate ordinary memory for a graph, with the card's threshold."""
        arrays = {name: _zeros(*tensor) for name, tensor in tensor_types(card).items()}
        slot = cls(**no_check(card) | arrays)
        slot.threshold[:] = card.threshold
        return slot

    def keep_until_exit(self) -> None:
        """Keep the memory until the process ends, for a thread that may still write there.

        Ordinary memory is reference-counted and needs nothing.
        """

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the buffers by their names in the graph."""
        found = {name: getattr(self, name) for name in INPUTS + OUTPUTS}
        return {name: array for name, array in found.items() if array.size}


def _zeros(shape: tuple[int, ...], kind: np.dtype[Any]) -> NDArray[Any]:
    """Return an array in pages of its own, as the driver of a camera may ask for."""
    nbytes = prod(shape) * kind.itemsize
    pages = np.zeros((nbytes // PAGE + 2) * PAGE, np.uint8)
    start = -pages.ctypes.data % PAGE
    return pages[start : start + nbytes].view(kind).reshape(shape)


class Backend(Protocol):
    """A graph ready to run; `run` allocates nothing."""

    @property
    def name(self) -> str:
        """The runtime, its version and its device: `onnxruntime 1.31.1, CPU, 2 threads`."""
        ...

    @property
    def card(self) -> GraphCard: ...

    def new_slot(self) -> Slot:
        """Allocate a slot, zeroed, with the card's threshold; valid until the backend closes."""
        ...

    def bind(self, slot: Slot) -> None: ...

    def run(self) -> None: ...

    def second(self: T) -> T:
        """Open another request on the same graph; it closes with this backend."""
        ...

    def close(self) -> None: ...

    def __enter__(self: T) -> T: ...

    def __exit__(self, *raised: object) -> None: ...


@runtime_checkable
class Pipelined(Backend, Protocol):
    """A backend with asynchronous runs."""

    @property
    def compute_seconds(self) -> float | None:
        """The device time of the last finished frame; None where the device has no clock."""
        ...

    def start(self) -> None:
        """Start the slot's frame and return; the slot must not be touched until `finish`."""
        ...

    def finish(self) -> None:
        """Wait until the slot holds mask, score and anomaly map of its frame."""
        ...


@runtime_checkable
class OnGpu(Pipelined, Protocol):
    """A backend whose frames and outputs may stay in the memory of a GPU."""

    def start_on(self, frame: Any) -> None:
        """As `start`, with a frame in GPU memory; it must not be changed until `finish`.

        frame: uint8 with the shape of the slot's, through DLPack or `__cuda_array_interface__`. The
        slot's frame is undefined then, until `fetch_frame`. DataError for any other object.
        """
        ...

    def fetch_frame(self) -> None:
        """Copy the frame of the last `start_on` to the slot's."""
        ...

    def device_outputs(self) -> dict[str, DeviceArray]:
        """Return the outputs of the last finished frame where the engine wrote them."""
        ...


@runtime_checkable
class CopiesMap(Protocol):
    """A backend that can leave out the copy of the anomaly map, for who does not read it."""

    copies_map: bool

    def fetch_map(self) -> None:
        """Bring the anomaly map of the last finished frame to the slot, if it was left out."""
        ...


class OnHost(Closing):
    """A backend that computes in host memory."""

    card: GraphCard

    def new_slot(self) -> Slot:
        """Allocate a slot in ordinary memory."""
        return Slot.on_host(self.card)

    def second(self: T) -> T:
        """Return a backend that shares the graph and is bound to a slot of its own."""
        return copy(self)
