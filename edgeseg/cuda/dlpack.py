"""DLPack: the exchange of arrays between libraries in one process, on the same memory.

An object with `__dlpack__` returns a capsule, which holds a structure that describes its memory.
The layout of the structures is that of `dlpack.h`, versions 0.8 and 1.x.
"""

import ctypes
from dataclasses import dataclass
from typing import Any

CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13  # DLDeviceType
_NAMES = (b"dltensor", b"dltensor_versioned")
_KINDS = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}  # DLDataTypeCode
_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}

Capsule = Any
"""A Python object of type PyCapsule."""


class _DlDevice(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int32), ("ordinal", ctypes.c_int32))


class _DlType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _DlTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _DlDevice),
        ("dimensions", ctypes.c_int32),
        ("type", _DlType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("offset", ctypes.c_uint64),
    )


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
# Functions of Python on the address of a capsule, which is its id.
_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _DlTensor), ("context", ctypes.c_void_p), ("deleter", _Deleter))


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _DlTensor),
    )


@dataclass(frozen=True)
class DlpackTensor:
    """What a capsule describes."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    """In bytes; None: C order, without gaps."""
    type: str
    """`uint8`."""
    device: tuple[int, int]
    """DLDeviceType and ordinal."""


def read_capsule(capsule: Capsule) -> DlpackTensor:
    """Return what an unused capsule describes; its memory is valid as long as the capsule is.

    ValueError for an object that is not one.
    """
    for name, layout in zip(_NAMES, (_Managed, _Versioned), strict=True):
        if _valid(id(capsule), name):
            return _read(layout.from_address(_pointer(id(capsule), name)).tensor)
    raise ValueError(f"{capsule!r} is not an unused DLPack capsule")


def _read(tensor: Any) -> DlpackTensor:
    count, kind = tensor.dimensions, tensor.type
    size = kind.bits * kind.lanes // 8
    strides = None
    if tensor.strides:
        strides = tuple(tensor.strides[i] * size for i in range(count))
    return DlpackTensor(
        address=(tensor.data or 0) + tensor.offset,
        shape=tuple(tensor.shape[:count]),
        strides=strides,
        type=_KINDS.get(kind.code, f"type {kind.code} of ")
        + ("" if kind.code == _CODES["b"] else str(kind.bits)),
        device=(tensor.device.kind, tensor.device.ordinal),
    )


_lent: dict[int, Any] = {}
"""What a consumer may still use, by the address of its structure."""


def _forget(address: int, lent: dict[int, Any] = _lent) -> None:
    lent.pop(address, None)


_free = _Deleter(_forget)


_Destructor = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def _destroyed(capsule: int) -> None:
    """Free what a capsule describes if no consumer took it over, which renames it."""
    # The address, not the object: a reference to an object that is being freed frees it again.
    if _valid(capsule, _NAMES[0]):
        _forget(_pointer(capsule, _NAMES[0]))


_destroy = _Destructor(_destroyed)

_new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, _Destructor)(
    ("PyCapsule_New", ctypes.pythonapi)
)


def new_capsule(
    address: int, shape: tuple[int, ...], type: Any, ordinal: int, owner: object
) -> Capsule:
    """Describe an array of a GPU, in C order; `owner` is kept until the consumer has finished."""
    count = len(shape)
    sizes = (ctypes.c_int64 * count)(*shape)
    steps, step = (ctypes.c_int64 * count)(), 1
    for i in reversed(range(count)):
        steps[i], step = step, step * shape[i]
    pointer = ctypes.POINTER(ctypes.c_int64)
    tensor = _DlTensor(
        address,
        _DlDevice(CUDA, ordinal),
        count,
        _DlType(_CODES[type.kind], 8 * type.itemsize, 1),
        ctypes.cast(sizes, pointer),
        ctypes.cast(steps, pointer),
        0,
    )
    managed = _Managed(tensor, None, _free)
    place = ctypes.addressof(managed)
    _lent[place] = (managed, sizes, steps, owner)
    return _new(place, _NAMES[0], _destroy)
