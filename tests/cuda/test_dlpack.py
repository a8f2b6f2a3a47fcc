"""Capsules of NumPy and PyTorch are read, and ours are given back however a consumer ends."""

import ctypes
import gc

import numpy as np
import pytest
import torch

from edgeseg.cuda import dlpack
from edgeseg.cuda.array import DeviceArray
from edgeseg.cuda.foreign import host_array, on_gpu
from edgeseg.errors import DataError
from edgeseg.prediction import Model
from tests.kit.errors import fails
from tests.kit.fakes import RedBackend


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.uint8).reshape(2, 4, 3),
        torch.arange(24, dtype=torch.uint8).reshape(2, 4, 3),
        torch.arange(48, dtype=torch.uint8).reshape(2, 8, 3)[:, ::2],
        torch.zeros(3, 5),
        torch.zeros(2, dtype=torch.bfloat16),
        torch.zeros(2, dtype=torch.bool),
    ],
)
def test_a_capsule_is_read(array):
    tensor = dlpack.read_capsule(array.__dlpack__())
    if isinstance(array, np.ndarray):
        address, strides, kind = array.ctypes.data, array.strides, array.dtype.name
    else:
        address, kind = array.data_ptr(), str(array.dtype).removeprefix("torch.")
        strides = tuple(step * array.element_size() for step in array.stride())
    assert (tensor.address, tensor.shape) == (address, tuple(array.shape))
    assert tensor.type == kind and tensor.strides in (strides, None)
    assert tensor.device == (dlpack.CPU, 0)


def test_a_versioned_capsule_is_read():
    array = torch.arange(6, dtype=torch.uint8)
    tensor = dlpack.read_capsule(array.__dlpack__(max_version=(1, 0)))
    assert (tensor.address, tensor.shape, tensor.type) == (array.data_ptr(), (6,), "uint8")


def test_a_used_capsule_and_no_capsule_are_refused():
    capsule = torch.zeros(3).__dlpack__()
    torch.from_dlpack(capsule)
    for what in (capsule, "text"):
        with pytest.raises(ValueError, match="not an unused DLPack capsule"):
            dlpack.read_capsule(what)


def device_array(owner=None):
    return DeviceArray(4096, (1, 2, 3), np.dtype(np.float32), 0, owner=owner)


def test_a_capsule_that_nobody_uses_gives_its_memory_back():
    capsule = device_array().__dlpack__(stream=7)
    tensor = dlpack.read_capsule(capsule)
    assert (tensor.address, tensor.shape, tensor.type) == (4096, (1, 2, 3), "float32")
    assert (tensor.strides, tensor.device) == ((24, 12, 4), (dlpack.CUDA, 0))
    assert len(dlpack._lent) == 1
    del capsule
    gc.collect()
    assert dlpack._lent == {}


def test_a_consumer_gives_the_memory_back_after_the_capsule():
    capsule = device_array().__dlpack__()
    api = ctypes.pythonapi
    place = dlpack._pointer(id(capsule), b"dltensor")
    used = ctypes.create_string_buffer(b"used_dltensor")
    rename = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)
    assert rename(("PyCapsule_SetName", api))(capsule, used.value) == 0
    del capsule
    gc.collect()
    assert list(dlpack._lent) == [place]
    dlpack._Managed.from_address(place).deleter(place)
    assert dlpack._lent == {}


@pytest.mark.parametrize("options", [{"copy": True}, {"dl_device": (1, 0)}, {"dl_device": (2, 1)}])
def test_an_array_is_lent_as_it_is(options):
    with pytest.raises(BufferError):
        device_array().__dlpack__(**options)
    device_array().__dlpack__(copy=False, dl_device=(2, 0))


def test_a_model_takes_host_arrays_of_other_libraries_without_a_copy():
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    tensor = torch.from_numpy(frame)
    assert host_array(tensor).ctypes.data == frame.ctypes.data
    assert not on_gpu(tensor) and not on_gpu(frame)
    with Model(RedBackend()) as model:
        expected = model(frame)
        np.testing.assert_array_equal(model(tensor).mask, expected.mask)
        np.testing.assert_array_equal(model(tensor).draw(), expected.draw())
        for wrong in (tensor.float(), tensor.bool()):
            with fails(DataError, "frame/dtype"):
                model(wrong)
        with fails(DataError, "frame/shape"):
            model(tensor.permute(2, 0, 1))
        with fails(DataError, "frame/dtype") as caught:
            model(torch.zeros(48, 64, 3, requires_grad=True))
    assert "detach()" in caught.value.remedy
