"""The CUDA seam: what it lends and takes back, and what it says when the driver refuses."""

import sys
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import pytest

from edgeseg.cuda import driver as memory
from edgeseg.errors import ConfigError, CudaError, MissingExtra
from tests.runtime.test_tensorrt_backend import simulate
from tools.cudasim.simulator import JETSON


def test_what_was_lent_is_given_back_once():
    report = simulate("lent_memory").clean()
    assert report.result == ["simulated CUDA device", "8.6", False]
    report = simulate("lent_memory", attributes=JETSON).clean()
    assert report.result[1:] == ["8.7", True]


def test_too_much_memory():
    kind, problem, remedy = simulate("driver_failure", limit=1 << 50).clean().result
    assert kind == "CudaError"
    assert problem == "The CUDA driver's cuMemAlloc failed with CUDA_ERROR_OUT_OF_MEMORY (2)."
    assert remedy.startswith("end what holds the memory (nvidia-smi; on a Jetson tegrastats), or ")


class Code(int):
    name = "CUDA_ERROR_NO_DEVICE"


@pytest.fixture
def binding(monkeypatch):
    """Put modules in the place of both bindings; `found` lists those that are installed."""
    found = {"cuda": {}, "pycuda": {}}
    monkeypatch.setattr(
        memory, "find_spec", lambda n: ModuleSpec(n, None) if n.split(".")[0] in found else None
    )

    def install(**modules):
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)

    install.found = found
    return install


def package(name, **parts):
    module = SimpleNamespace(__name__=name, __path__=[], **parts)
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    return module


def test_a_machine_without_a_gpu_is_told_what_to_do(binding):
    driver = SimpleNamespace(cuInit=lambda flags: (Code(100),))
    binding(
        cuda=package("cuda"),
        **{"cuda.bindings": package("cuda.bindings"), "cuda.bindings.driver": driver},
    )
    with pytest.raises(CudaError, match=r"cuInit failed with CUDA_ERROR_NO_DEVICE \(100\)") as e:
        memory.open_cuda()
    assert "docker run --gpus all" in e.value.remedy


def test_a_machine_without_a_driver_is_told_what_to_do(binding):
    def no_library(flags):
        raise RuntimeError("libcuda.so.1 not found")

    driver = SimpleNamespace(cuInit=no_library)
    binding(
        cuda=package("cuda"),
        **{"cuda.bindings": package("cuda.bindings"), "cuda.bindings.driver": driver},
    )
    with pytest.raises(CudaError, match=r"does not offer cuInit: libcuda\.so\.1 not found") as e:
        memory.open_cuda("cuda-python")
    assert e.value.remedy.startswith("edgeseg doctor; without a driver, install NVIDIA's; with one")


def test_pycuda_s_words_become_the_driver_s(binding):
    class Error(Exception):
        pass

    def init():
        raise Error("cuInit failed: no device - the driver is not amused")

    driver = SimpleNamespace(Error=Error, init=init)
    binding(pycuda=package("pycuda"), **{"pycuda.driver": driver})
    with pytest.raises(CudaError, match=r"cuInit failed with CUDA_ERROR_NO_DEVICE\.") as e:
        memory.open_cuda("pycuda")
    assert "docker run --gpus all" in e.value.remedy


def test_the_preferred_binding_is_cuda_python(binding):
    assert memory.found_bindings() == ("cuda-python", "pycuda")
    del binding.found["cuda"]
    assert memory.found_bindings() == ("pycuda",)
    del binding.found["pycuda"]
    assert memory.found_bindings() == ()


def test_a_binding_that_is_missing_or_unknown(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(MissingExtra) as missing:
        memory.open_cuda("pycuda")
    assert missing.value.remedy == 'pip install "edgeseg[pycuda]"'
    with pytest.raises(ConfigError, match=r"'cupy' is not known; cuda-python, pycuda was expected"):
        memory.open_cuda("cupy")
