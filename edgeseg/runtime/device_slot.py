"""Slots in page-locked memory, and where a device finds their tensors.

    mapped   the device reads the frame and writes the mask where they lie: zero-copy
    copy     the device has memory of its own; one copy brings frame and threshold, another takes
             mask, score and map back, beside the computing of other frames

On a Jetson processor and GPU share one memory, and the frame is read once: a copy only costs. A
discrete GPU would read it over PCIe, on the way to the mask, where a copy runs ahead. Which of the
two is faster was not measured on a GPU; `auto` takes what NVIDIA's documents recommend.
"""

from dataclasses import dataclass
from math import prod
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.config import Io
from edgeseg.cuda.resources import Bytes, Cuda, Device, Host, Piece
from edgeseg.errors import ConfigError
from edgeseg.runtime.base import INPUTS, OUTPUTS, Slot

ALIGNMENT = 256  # bytes, that TensorRT's addresses have to be multiples of


@dataclass(frozen=True)
class Tensor:
    """Where a tensor lies in a block."""

    offset: int
    """In bytes."""
    shape: tuple[int, ...]
    type: np.dtype[Any]


@dataclass(frozen=True)
class Layout:
    """The tensors of a graph in one block: the inputs, then the outputs, each on a boundary."""

    tensors: dict[str, Tensor]
    inputs: int
    """Bytes of frame and threshold, with what lies between them: the outputs begin here."""
    total: int

    @classmethod
    def of(cls, card: GraphCard) -> "Layout":
        """Lay out the tensors of a graph."""
        n, height, width, _ = card.frame_shape
        shapes: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
            "frame": (card.frame_shape, np.uint8),
            "threshold": ((1,), np.float32),
            "mask": ((n, height, width), np.uint8),
            "score": ((n,), np.float32),
            "anomaly_map": ((n, card.image_size, card.image_size), np.float32),
        }
        tensors, end, inputs = {}, 0, 0
        for name in INPUTS + OUTPUTS:
            shape, kind = shapes[name]
            tensors[name] = Tensor(end, shape, np.dtype(kind))
            nbytes = prod(shape) * np.dtype(kind).itemsize
            end += -(-nbytes // ALIGNMENT) * ALIGNMENT
            inputs = end if name in INPUTS else inputs
        return cls(tensors, inputs, end)

    def views(self, block: Bytes) -> dict[str, NDArray[Any]]:
        """Return the tensors in a block, as arrays that share its memory."""
        found = {}
        for name, tensor in self.tensors.items():
            end = tensor.offset + prod(tensor.shape) * tensor.type.itemsize
            found[name] = block[tensor.offset : end].view(tensor.type).reshape(tensor.shape)
        return found

    def addresses(self, base: int) -> dict[str, int]:
        """Return where the tensors lie in a block that begins at `base`."""
        return {name: base + tensor.offset for name, tensor in self.tensors.items()}


@dataclass(frozen=True, eq=False)
class DeviceSlot(Slot):
    """A slot in page-locked memory, which a device can read and write; made by a backend.

    Its arrays are the backend's: after the backend has closed nothing may touch them, unless they
    were left.
    """

    host: Host
    """What the arrays lie in."""

    inputs: Piece
    """Frame and threshold, as one piece to copy to the device."""
    outputs: Piece
    """Mask, score and map."""
    addresses: dict[str, int]
    """Each tensor's own address on the device, where nothing is copied."""

    @classmethod
    def on(cls, cuda: Cuda, card: GraphCard) -> "DeviceSlot":
        """Allocate it, zeroed, with the card's threshold."""
        layout = Layout.of(card)
        host = cuda.host(layout.total)
        block = host.piece
        assert block.address % ALIGNMENT == block.mapped % ALIGNMENT == 0
        slot = cls(
            **layout.views(block.array),
            host=host,
            inputs=block.part(0, layout.inputs),
            outputs=block.part(layout.inputs, layout.total),
            addresses=layout.addresses(block.mapped),
        )
        slot.threshold[:] = card.threshold
        return slot

    def leave(self) -> None:
        """Leave the memory, and the device's context, to the end of the process."""
        self.host.leave()

    def clear(self) -> None:
        """Set mask, score and map to zero."""
        self.outputs.array[...] = 0


def choose_io(io: str, device: Device) -> Literal["mapped", "copy"]:
    """Return how frames get to a device; `auto` copies only where the memory is not shared."""
    if io == "mapped":
        return "mapped"
    if io == "copy":
        return "copy"
    if io == "auto":
        return "mapped" if device.integrated else "copy"
    raise ConfigError(f"--io is {io}; {', '.join(get_args(Io))} was expected.", remedy="--io auto")
