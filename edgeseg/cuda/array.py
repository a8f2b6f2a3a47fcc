"""Arrays in the memory of a GPU, exchanged with other libraries without a copy.

`torch.from_dlpack(array)`, `cupy.asarray(array)`, `numba.cuda.as_cuda_array(array)`: an array
implements DLPack and `__cuda_array_interface__`, version 3. Tested with both on a simulated
driver; the interface also with PyTorch on an H100.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from edgeseg.cuda import dlpack


@dataclass(frozen=True, eq=False)
class DeviceArray:
    """An array in the memory of a GPU.

    Of a model it is what the engine wrote, complete, and valid until the model's next frame:
    another stream that reads it has to be synchronized before.
    """

    address: int
    """On the device."""
    shape: tuple[int, ...]
    type: np.dtype[Any]
    ordinal: int
    """Of the GPU, as CUDA counts them."""
    strides: tuple[int, ...] | None = None
    """In bytes; None: C order, without gaps."""
    owner: object = None
    """What keeps the memory."""
    check: Callable[[], None] = lambda: None
    """Raises where the memory has other contents by now."""

    @property
    def nbytes(self) -> int:
        """Bytes of the elements, without gaps."""
        return prod(self.shape) * self.type.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        self.check()
        return {
            "shape": self.shape,
            "typestr": self.type.str,
            "data": (self.address, False),
            "strides": self.strides,
            "version": 3,
            "stream": None,  # the work that wrote it is complete
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CUDA, self.ordinal

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> dlpack.Capsule:
        """Return a capsule; no stream has to wait, because the work that wrote it is complete."""
        self.check()
        if dl_device not in (None, self.__dlpack_device__()) or copy:
            raise BufferError("the array is lent as it is: without a copy, on its GPU")
        assert self.strides is None, "only outputs of engines are lent"
        return dlpack.new_capsule(self.address, self.shape, self.type, self.ordinal, self)
