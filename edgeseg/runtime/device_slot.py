"""Slots in pinned memory, and the device addresses of their tensors.

    mapped   the device reads the frame and writes the mask in place (zero-copy)
    copy     one copy brings frame and threshold to a device buffer, another brings mask, score and,
             where it is used, anomaly map back; both overlap with the computation of other frames

`auto` follows NVIDIA's recommendation: mapped where CPU and GPU share their memory (Jetson), copied
on a discrete GPU, which would otherwise read the frame over PCIe: on an H200, kernels that
read a frame of 1920 x 1080 twice took 3.7 ms after its copy (0.12 ms) and 10.4 ms in place.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.cuda.array import DeviceArray
from edgeseg.cuda.resources import Bytes, CudaContext, Device, PinnedBuffer, PinnedView
from edgeseg.errors import DataError
from edgeseg.runtime.base import INPUTS, Slot, no_check, tensor_types

ALIGNMENT = 256  # bytes, of the addresses that TensorRT takes
MAP = "anomaly_map"
FEW_CORES = 4  # capture, inference, dispatcher, and one for the rest


@dataclass(frozen=True)
class TensorPlace:
    """A tensor's place in a block of memory."""

    offset: int
    """In bytes."""
    shape: tuple[int, ...]
    type: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.type.itemsize


@dataclass(frozen=True)
class Layout:
    """The tensors of a graph in one block, aligned: the inputs, then the outputs."""

    tensors: dict[str, TensorPlace]
    inputs: int
    """Bytes of frame and threshold with padding; the outputs begin here."""
    map: int
    """Where the anomaly map begins, the last of the outputs."""
    total: int

    @classmethod
    def of(cls, card: GraphCard) -> "Layout":
        """Lay out the tensors of a graph."""
        tensors, end, inputs = {}, 0, 0
        # The map is the last, so that it can be left out of the copy.
        order = sorted(tensor_types(card).items(), key=lambda tensor: tensor[0] == MAP)
        for name, (shape, kind) in order:
            tensors[name] = TensorPlace(end, shape, kind)
            end += -(-tensors[name].nbytes // ALIGNMENT) * ALIGNMENT
            inputs = end if name in INPUTS else inputs
        return cls(tensors, inputs, tensors[MAP].offset, end)

    def views(self, block: Bytes) -> dict[str, NDArray[Any]]:
        """Return the tensors of a block as arrays that share its memory."""
        found = {}
        for name, tensor in self.tensors.items():
            end = tensor.offset + tensor.nbytes
            found[name] = block[tensor.offset : end].view(tensor.type).reshape(tensor.shape)
        return found

    def addresses(self, base: int) -> dict[str, int]:
        """Return the tensors' addresses in a block that begins at `base`."""
        return {name: base + tensor.offset for name, tensor in self.tensors.items()}


@dataclass(frozen=True, eq=False)
class DeviceSlot(Slot):
    """A slot in pinned memory, which the device can access in place; made by a backend.

    Its arrays are valid until the backend closes, or until exit after `keep_until_exit`.
    """

    buffer: PinnedBuffer
    """The memory of all arrays."""
    inputs: PinnedView
    """Frame and threshold, as one block to copy to the device."""
    outputs: PinnedView
    """Mask, score, input check and anomaly map."""
    without_map: PinnedView
    """The outputs without the anomaly map."""
    map: PinnedView

    @classmethod
    def on(cls, cuda: CudaContext, card: GraphCard) -> "DeviceSlot":
        """Allocate a slot, zeroed, with the card's threshold."""
        layout = Layout.of(card)
        buffer = cuda.pinned(layout.total)
        block = buffer.view
        assert block.address % ALIGNMENT == block.mapped % ALIGNMENT == 0
        slot = cls(
            **no_check(card) | layout.views(block.array),
            buffer=buffer,
            inputs=block.part(0, layout.inputs),
            outputs=block.part(layout.inputs, layout.total),
            without_map=block.part(layout.inputs, layout.map),
            map=block.part(layout.map, layout.total),
        )
        slot.threshold[:] = card.threshold
        return slot

    def keep_until_exit(self) -> None:
        """Free neither the memory nor the device's context before the process ends."""
        self.buffer.keep_until_exit()

    def clear(self) -> None:
        """Set mask, score and anomaly map to zero."""
        self.outputs.array[...] = 0


def spins(wait: str, device: Device, cores: int) -> bool:
    """Return whether the CPU waits without sleeping.

    `auto`: on a discrete GPU, where a core is to spare while a frame is computed. On an H200 a
    blocking event cost 36 us more, on an H100 82 us. A Jetson shares its power between CPU and GPU.
    """
    if wait == "auto":
        return not device.integrated and cores > FEW_CORES
    return wait == "spin"


def check_frame(frame: DeviceArray, card: GraphCard, ordinal: int) -> None:
    """DataError unless a frame in GPU memory is one that the graph takes as it is, on this GPU."""
    if frame.ordinal != ordinal:
        raise DataError(
            f"invalid frame: in the memory of GPU {frame.ordinal} (the engine is on {ordinal})",
            remedy="copy it to the engine's GPU",
            code="frame/device",
        )
    expected = card.frame_shape[1:]
    if frame.shape != expected:
        height, width = card.frame_size
        raise DataError(
            f"invalid frame: shape {list(frame.shape)} in GPU memory (expected {list(expected)}, "
            f"{card.frame_format}, which is not resized there)",
            remedy=f"resize it on the GPU to {width}x{height}, or export for the camera: "
            "edgeseg export --frame-size WIDTHxHEIGHT",
            code="frame/shape",
        )


def choose_io(io: str, device: Device) -> str:
    """Return how frames reach a device; `auto` copies where the memory is not shared."""
    if io == "auto":
        return "mapped" if device.integrated else "copy"
    return io
