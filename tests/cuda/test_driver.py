"""The CUDA seam: resources are freed once; failures of the driver become errors with remedies."""

import sys
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import pytest

from edgeseg.cuda import driver
from edgeseg.errors import CudaError, MissingExtra
from edgeseg.extras import install_command
from tests.kit.errors import fails
from tests.runtime.test_tensorrt_backend import simulate
from tools.cudasim.simulator import JETSON


def test_what_was_lent_is_given_back_once():
    report = simulate("freed_resources").clean()
    assert report.result == ["simulated CUDA device", "8.6", False]
    report = simulate("freed_resources", attributes=JETSON).clean()
    assert report.result[1:] == ["8.7", True]


def test_too_much_memory():
    kind, code, problem, remedy = simulate("driver_failure", limit=1 << 50).clean().result
    assert (kind, code) == ("CudaError", "cuda/out-of-memory")
    assert problem == "cuMemAlloc failed with CUDA_ERROR_OUT_OF_MEMORY (2)."
    assert "nvidia-smi" in remedy


class Code(int):
    name = "CUDA_ERROR_NO_DEVICE"


@pytest.fixture
def binding(monkeypatch):
    """Put modules in the place of both bindings; `found` lists those that are installed."""
    found = {"cuda": {}, "pycuda": {}}
    monkeypatch.setattr(
        driver, "find_spec", lambda n: ModuleSpec(n, None) if n.split(".")[0] in found else None
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
    module = SimpleNamespace(cuInit=lambda flags: (Code(100),))
    binding(
        cuda=package("cuda"),
        **{"cuda.bindings": package("cuda.bindings"), "cuda.bindings.driver": module},
    )
    with fails(CudaError, "cuda/no-device") as e:
        driver.open_cuda()
    assert "docker run --gpus all" in e.value.remedy


def test_a_machine_without_a_driver_is_told_what_to_do(binding):
    def no_library(flags):
        raise RuntimeError("libcuda.so.1 not found")

    module = SimpleNamespace(cuInit=no_library)
    binding(
        cuda=package("cuda"),
        **{"cuda.bindings": package("cuda.bindings"), "cuda.bindings.driver": module},
    )
    with fails(CudaError, "cuda/no-driver") as e:
        driver.open_cuda("cuda-python")
    assert "libcuda.so.1 not found" in e.value.problem


def test_pycuda_s_words_become_the_driver_s(binding):
    class Error(Exception):
        pass

    def init():
        raise Error("cuInit failed: no device - the driver is not amused")

    module = SimpleNamespace(Error=Error, init=init)
    binding(pycuda=package("pycuda"), **{"pycuda.driver": module})
    with fails(CudaError, "cuda/no-device") as e:
        driver.open_cuda("pycuda")
    assert "docker run --gpus all" in e.value.remedy


def test_the_preferred_binding_is_cuda_python(binding):
    assert driver.found_bindings() == ("cuda-python", "pycuda")
    del binding.found["cuda"]
    assert driver.found_bindings() == ("pycuda",)
    del binding.found["pycuda"]
    assert driver.found_bindings() == ()


def test_open_cuda_names_the_missing_binding(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(MissingExtra) as missing:
        driver.open_cuda("pycuda")
    assert missing.value.remedy == install_command("pycuda", "--force-reinstall")
