"""Tensors in a device's memory, offered to PyTorch, CuPy and others without a copy.

    torch.from_dlpack(array)    cupy.asarray(array)

Sources: the CUDA Array Interface, version 3; DLPack's `dlpack.h` (the struct without a version,
which every consumer takes) and the Python array API's protocol. Read by NumPy and PyTorch on host
memory in the tests; not run on a GPU.
"""

import ctypes
from dataclasses import dataclass
from enum import IntEnum
from math import prod
from typing import Any

import numpy as np


class Place(IntEnum):
    """`DLDeviceType`."""

    CPU = 1
    CUDA = 2
    CUDA_HOST = 3


class _Tensor(ctypes.Structure):
    """`DLTensor`."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    """`DLManagedTensor`."""

    _fields_ = (
        ("tensor", _Tensor),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    )


_CODES = {"i": 0, "u": 1, "f": 2}  # kDLInt, kDLUInt, kDLFloat
_FRESH = b"dltensor"  # a consumer renames the capsule when it takes the tensor over
_lent: dict[int, tuple[Any, ...]] = {}  # struct's address -> what it points to, until it is deleted

_new = ctypes.pythonapi.PyCapsule_New
_new.restype = ctypes.py_object
_new.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
# By address: the destructor runs when the capsule has no reference left to pass.
_is_fresh = ctypes.pythonapi.PyCapsule_IsValid
_is_fresh.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype = ctypes.c_void_p
_pointer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)


def _forget(address: int) -> None:
    _lent.pop(address, None)


def _forget_fresh(capsule: int) -> None:
    """Free the struct of a capsule that nobody took."""
    if _is_fresh(capsule, _FRESH):
        _lent.pop(_pointer(capsule, _FRESH), None)


_delete = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(_forget)
_destroy = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(_forget_fresh)


@dataclass(frozen=True)
class DeviceArray:
    """A tensor in memory that is not this object's: it ends with the backend that owns it.

    Its values are those of the frame that `finish` returned from, until the next `start`.
    """

    address: int
    shape: tuple[int, ...]
    type: np.dtype[Any]
    owner: Any = None
    """Kept alive with this."""
    place: Place = Place.CUDA

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.type.str,
            "data": (self.address, False),
            "strides": None,  # C order
            "stream": None,  # nothing is left to wait for
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return int(self.place), 0

    def __dlpack__(self, *, stream: Any = None, **_: Any) -> Any:
        """Return the capsule; no stream has to wait: the tensor was waited for."""
        dimensions = len(self.shape)
        sizes = ctypes.c_int64 * dimensions
        steps = [prod(self.shape[i + 1 :]) for i in range(dimensions)]  # in elements
        shape, strides = sizes(*self.shape), sizes(*steps)
        tensor = _Tensor(
            data=self.address,
            device_type=self.place,
            device_id=0,
            ndim=dimensions,
            code=_CODES[self.type.kind],
            bits=self.type.itemsize * 8,
            lanes=1,
            shape=ctypes.cast(shape, ctypes.POINTER(ctypes.c_int64)),
            strides=ctypes.cast(strides, ctypes.POINTER(ctypes.c_int64)),
            byte_offset=0,
        )
        deleter = ctypes.cast(_delete, ctypes.c_void_p)
        managed = _Managed(tensor=tensor, context=None, deleter=deleter)
        address = ctypes.addressof(managed)
        _lent[address] = (managed, shape, strides, self)
        return _new(address, _FRESH, ctypes.cast(_destroy, ctypes.c_void_p))
