"""Frames that another library has in the memory of the GPU, ordered after its work and copied.

    DLPack                     the producer makes our stream wait for its work: `__dlpack__(stream)`
    __cuda_array_interface__   names the producer's stream, for which our stream waits
                               None: its work is complete; missing: the default stream

The copy goes from the producer's memory to the address that the engine reads, on the GPU, also
where rows are padded (`cuMemcpy2DAsync`). No byte passes through the CPU.
"""

import ctypes
from typing import Any

import numpy as np

from edgeseg.cuda import dlpack
from edgeseg.cuda.array import DeviceArray
from edgeseg.cuda.driver import raw_call
from edgeseg.cuda.resources import CudaContext, Resource, Stream
from edgeseg.errors import DataError

_ON_GPU = (dlpack.CUDA, dlpack.CUDA_MANAGED)
_DISABLE_TIMING = 2  # CU_EVENT_DISABLE_TIMING
_DEVICE_ORDINAL = 9  # CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
_LEGACY_STREAM = 1  # of __cuda_array_interface__, and CU_STREAM_LEGACY
_UNIFIED = 4  # CU_MEMORYTYPE_UNIFIED: the driver knows where an address lies
_EXPECTED = "a uint8 array in GPU memory, rows from left to right: [H, W, C]"


def on_gpu(frame: Any) -> bool:
    """Whether an object is an array in the memory of a GPU, as far as it says."""
    if isinstance(frame, np.ndarray):
        return False
    device = getattr(frame, "__dlpack_device__", None)
    if device is not None:
        return int(device()[0]) in _ON_GPU
    return hasattr(frame, "__cuda_array_interface__")


def host_array(frame: Any) -> Any:
    """Return a frame of another library in host memory as a NumPy array, without a copy.

    Anything else is returned as it is. DataError for an array that cannot be lent.
    """
    if isinstance(frame, np.ndarray) or not hasattr(frame, "__dlpack__"):
        return frame
    try:
        return np.from_dlpack(frame)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(
            f"invalid frame: {_kind(frame)} cannot be lent through DLPack: {error}",
            remedy="pass a NumPy array; of a PyTorch tensor frame.detach().cpu().numpy()",
            code="frame/dtype",
        ) from error


class ForeignFrames(Resource):
    """Brings frames of other libraries to addresses of this context, in stream order."""

    def __init__(self, cuda: CudaContext) -> None:
        event = ctypes.c_void_p()
        raw_call("cuEventCreate", ctypes.byref(event), _DISABLE_TIMING)
        super().__init__(cuda, event.value, _destroy)

    def borrow(self, frame: Any, stream: Stream) -> DeviceArray:
        """Make a stream wait for the work that fills a frame, and return where it lies.

        The producer must not change it before the stream has read it. DataError for an object that
        is no array of this GPU.
        """
        if hasattr(frame, "__dlpack__"):
            found = _by_dlpack(frame, stream)
        else:
            interface, found = _by_interface(frame)
            # Before version 3 an interface had no stream, and some never name theirs.
            handle = interface.get("stream", _LEGACY_STREAM)
            if handle is not None:
                raw_call("cuEventRecord", ctypes.c_void_p(self.handle), ctypes.c_void_p(handle))
                ours = ctypes.c_void_p(stream.pointer)
                raw_call("cuStreamWaitEvent", ours, ctypes.c_void_p(self.handle), 0)
        return found

    def copy(self, target: int, source: DeviceArray, stream: Stream) -> None:
        """Enqueue a copy to an address, without the gaps between rows."""
        ours = ctypes.c_void_p(stream.pointer)
        if source.strides is None:
            to, origin = ctypes.c_uint64(target), ctypes.c_uint64(source.address)
            raw_call("cuMemcpyAsync", to, origin, ctypes.c_size_t(source.nbytes), ours)
            return
        rows, width = source.shape[0], source.nbytes // source.shape[0]
        copy = _Memcpy2D(
            srcMemoryType=_UNIFIED,
            srcDevice=source.address,
            srcPitch=source.strides[0],
            dstMemoryType=_UNIFIED,
            dstDevice=target,
            dstPitch=width,
            WidthInBytes=width,
            Height=rows,
        )
        raw_call("cuMemcpy2DAsync_v2", ctypes.byref(copy), ours)


_SIDE = (
    ("XInBytes", ctypes.c_size_t),
    ("Y", ctypes.c_size_t),
    ("MemoryType", ctypes.c_int),
    ("Host", ctypes.c_void_p),
    ("Device", ctypes.c_uint64),
    ("Array", ctypes.c_void_p),
    ("Pitch", ctypes.c_size_t),
)


class _Memcpy2D(ctypes.Structure):
    """CUDA_MEMCPY2D."""

    _fields_ = (
        *((f"src{name}", kind) for name, kind in _SIDE),
        *((f"dst{name}", kind) for name, kind in _SIDE),
        ("WidthInBytes", ctypes.c_size_t),
        ("Height", ctypes.c_size_t),
    )


def ordinal_of(address: int) -> int:
    """Return the GPU that an address belongs to; CudaError for one that CUDA does not know."""
    found = ctypes.c_int()
    raw_call(
        "cuPointerGetAttribute", ctypes.byref(found), _DEVICE_ORDINAL, ctypes.c_uint64(address)
    )
    return found.value


def _destroy(event: int) -> None:
    raw_call("cuEventDestroy_v2", ctypes.c_void_p(event))


def _by_dlpack(frame: Any, stream: Stream) -> DeviceArray:
    try:
        capsule = frame.__dlpack__(stream=stream.pointer)
        tensor = dlpack.read_capsule(capsule)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise _refused(frame, f"cannot be lent through DLPack: {error}") from error
    shape, strides = _rows(frame, tensor.shape, tensor.strides, tensor.type)
    kind = np.dtype(np.uint8)
    # The unused capsule frees the memory with its last reference.
    return DeviceArray(tensor.address, shape, kind, tensor.device[1], strides, capsule)


def _by_interface(frame: Any) -> tuple[dict[str, Any], DeviceArray]:
    interface = frame.__cuda_array_interface__
    if interface.get("mask") is not None:
        raise _refused(frame, "is masked")
    kind, address = np.dtype(interface["typestr"]), int(interface["data"][0])
    shape, strides = _rows(frame, interface["shape"], interface.get("strides"), kind.name)
    ordinal = ordinal_of(address)
    return interface, DeviceArray(address, shape, np.dtype(np.uint8), ordinal, strides, frame)


def _rows(
    frame: Any, shape: tuple[int, ...], strides: tuple[int, ...] | None, kind: str
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return shape [H, W, C] and strides of a frame; only gaps between rows are allowed."""
    if kind != "uint8":
        fix = "scale it on the GPU: (frame * 255).round().to(torch.uint8) of 0 to 1"
        raise _refused(frame, f"of {kind}", remedy=fix)
    shape = tuple(map(int, shape))
    if len(shape) == 4 and shape[0] == 1:
        shape, strides = shape[1:], strides and strides[1:]
    if len(shape) == 2:
        shape, strides = (*shape, 1), strides and (*strides, 1)
    if len(shape) != 3 or 0 in shape:
        raise _refused(frame, f"of shape {list(shape)}", code="frame/shape")
    _, width, channels = shape
    if strides is None:
        return shape, None
    inner = (width == 1 or strides[1] == channels) and (channels == 1 or strides[2] == 1)
    if not inner or (shape[0] > 1 and strides[0] < width * channels):
        fix = "frame.permute(1, 2, 0).contiguous() of [C, H, W]"
        raise _refused(frame, f"of strides {list(strides)}", remedy=fix, code="frame/shape")
    packed = shape[0] == 1 or strides[0] == width * channels
    return shape, None if packed else strides


def _refused(frame: Any, what: str, *, remedy: str = "", code: str = "frame/dtype") -> DataError:
    return DataError(
        f"invalid frame: {_kind(frame)} {what} (expected {_EXPECTED})",
        remedy=remedy or "convert it on the GPU, or pass a NumPy array",
        code=code,
    )


def _kind(frame: Any) -> str:
    return f"{type(frame).__module__}.{type(frame).__qualname__}"
