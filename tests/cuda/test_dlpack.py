"""Tensors that others read without a copy, tried with NumPy and PyTorch on host memory."""

import gc

import numpy as np
import pytest

from edgeseg.cuda import dlpack
from edgeseg.cuda.dlpack import DeviceArray, Place


def lent(array, place):
    return DeviceArray(array.ctypes.data, array.shape, array.dtype, array, place)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_numpy_shares_the_memory(kind):
    array = np.arange(24).astype(kind).reshape(2, 3, 4)
    found = np.from_dlpack(lent(array, Place.CUDA_HOST))
    np.testing.assert_array_equal(found, array)
    array[1, 2, 3] = 99
    assert found[1, 2, 3] == 99 and found.dtype == kind
    assert len(dlpack._lent) == 1
    del found
    gc.collect()
    assert dlpack._lent == {}


def test_pytorch_shares_the_memory():
    torch = pytest.importorskip("torch")
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    found = torch.from_dlpack(lent(array, Place.CPU))
    assert found.stride() == (12, 4, 1)
    found[0, 0, 0] = 7
    assert array[0, 0, 0] == 7
    del found
    gc.collect()
    assert dlpack._lent == {}


def test_a_capsule_that_nobody_takes_is_freed():
    array = np.zeros(4, np.float32)
    capsule = lent(array, Place.CUDA).__dlpack__()
    assert len(dlpack._lent) == 1
    del capsule
    gc.collect()
    assert dlpack._lent == {}


def test_the_struct_of_a_tensor_on_a_device():
    array = DeviceArray(0x7F0000001000, (1, 8, 9), np.dtype(np.uint8))
    capsule = array.__dlpack__(stream=1)
    ((managed, *_),) = dlpack._lent.values()
    tensor = managed.tensor
    assert (tensor.data, tensor.device_type, tensor.device_id) == (0x7F0000001000, 2, 0)
    assert (tensor.code, tensor.bits, tensor.lanes, tensor.byte_offset) == (1, 8, 1, 0)
    assert (tensor.shape[:3], tensor.strides[:3]) == ([1, 8, 9], [72, 9, 1])
    assert array.__dlpack_device__() == (2, 0)
    del capsule


def test_the_cuda_array_interface():
    array = DeviceArray(0x7F0000001000, (1, 8, 9), np.dtype(np.float32))
    assert array.__cuda_array_interface__ == {
        "shape": (1, 8, 9),
        "typestr": "<f4",
        "data": (0x7F0000001000, False),
        "strides": None,
        "stream": None,
        "version": 3,
    }
