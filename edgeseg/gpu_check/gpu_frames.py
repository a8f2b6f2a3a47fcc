"""Checks of a model that is called with frames in GPU memory; every right mask is known."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.config import GpuConfig, Io
from edgeseg.cuda.array import DeviceArray
from edgeseg.cuda.driver import open_cuda
from edgeseg.cuda.foreign import ordinal_of
from edgeseg.data.images import Image
from edgeseg.gpu_check import kernels as gpu
from edgeseg.gpu_check.finding import GpuFinding
from edgeseg.gpu_check.frames import SMALL, TOLERANCE, Answers
from edgeseg.gpu_check.pytorch import cuda_torch
from edgeseg.gpu_check.stand_in import open_stand_in
from edgeseg.prediction import Model, Prediction
from edgeseg.runtime.base import Slot

Lend = Callable[[Image], Any]
Read = Callable[[DeviceArray], NDArray[Any]]
IOS: tuple[Io, ...] = ("mapped", "copy")


def model(*, lender: str, frames: int = 200) -> GpuFinding:
    """Call a model with frames of `lender`, and read the masks that it lends.

    lender: `dlpack` and `interface`, memory of the driver through one of the protocols; `pytorch`,
    tensors whose work is pending.
    """
    lent_by, right, lent = _LENDERS[lender], 0, 0
    for io in IOS:
        with (
            open_stand_in(gpu.Kernels(), size=SMALL, gpu=GpuConfig(io=io)) as backend,
            lent_by() as (lend, read),
        ):
            answers, called = Answers(backend.card), Model(backend)
            for index in range(frames):
                expected = answers.of(index)
                called.threshold = float(expected.threshold[0])
                found = called(lend(expected.frame[0]))
                right += _same(found, expected)
                lent += np.array_equal(read(found.on_device["mask"]), expected.mask)
    total = len(IOS) * frames
    text = f"{right} of {total} right, {lent} of {total} lent masks right"
    return GpuFinding(right == lent == total, text, {"right": right, "lent": lent, "n": total})


def _same(found: Prediction, expected: Slot) -> bool:
    return (
        np.array_equal(found.mask, expected.mask[0])
        and bool(np.isclose(found.score, expected.score[0], atol=TOLERANCE))
        and np.allclose(found.anomaly_map, expected.anomaly_map[0], atol=TOLERANCE)
    )


class _Described:
    """An array that has the interface, and not DLPack."""

    def __init__(self, array: DeviceArray) -> None:
        self.__cuda_array_interface__ = array.__cuda_array_interface__
        self._array = array


@contextmanager
def _of_driver(offer: Callable[[DeviceArray], Any]) -> Iterator[tuple[Lend, Read]]:
    shape = (*SMALL, 3)
    size = int(np.prod(shape))
    with open_cuda() as cuda, cuda.current(), cuda.stream() as stream:
        memory, host = cuda.buffer(size), cuda.pinned(size)

        def lend(frame: Image) -> Any:
            host.view.array[...] = frame.reshape(-1)
            stream.copy_in(memory.address, host.view)
            stream.synchronize()
            return offer(
                DeviceArray(memory.address, shape, frame.dtype, ordinal_of(memory.address))
            )

        def read(array: DeviceArray) -> NDArray[Any]:
            view = host.view.part(0, array.nbytes)
            stream.copy_out(view, array.address)
            stream.synchronize()
            return view.array.copy().reshape(array.shape)

        yield lend, read


@contextmanager
def _of_pytorch() -> Iterator[tuple[Lend, Read]]:
    torch = cuda_torch()

    def lend(frame: Image) -> Any:
        tensor = torch.from_numpy(frame).cuda()
        for _ in range(20):  # work that is pending when the model is called
            tensor = 255 - tensor
        return tensor

    yield lend, lambda array: torch.from_dlpack(array).cpu().numpy()


_LENDERS: dict[str, Callable[[], AbstractContextManager[tuple[Lend, Read]]]] = {
    "dlpack": lambda: _of_driver(lambda array: array),
    "interface": lambda: _of_driver(_Described),
    "pytorch": _of_pytorch,
}
