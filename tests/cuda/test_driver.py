"""The CUDA seam: resources are freed once; failures of the driver become errors with remedies."""

import sys
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import pytest

from edgeseg.cuda import driver
from edgeseg.errors import CudaError, MissingExtra
from edgeseg.packages.extras import install_command
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
    assert e.value.problem == "no NVIDIA driver: libcuda.so.1 not found."
    assert "docker run --gpus all" in e.value.remedy


def test_a_binding_that_is_newer_than_the_driver_is_exchanged(binding, monkeypatch):
    def no_function(flags):
        raise RuntimeError('Function "cuInit" not found')

    module = SimpleNamespace(cuInit=no_function)
    binding(
        cuda=package("cuda"),
        **{"cuda.bindings": package("cuda.bindings"), "cuda.bindings.driver": module},
    )
    monkeypatch.setattr(driver, "driver_cuda", lambda: "12.4")
    with fails(CudaError, "cuda/old-driver") as e:
        driver.open_cuda("cuda-python")
    assert "driver of CUDA 12.4 does not provide cuInit" in e.value.problem
    assert e.value.remedy == "pip install 'cuda-bindings==12.*'"


WORDS = {100: ("NO_DEVICE", "no CUDA-capable device is detected"), 719: ("LAUNCH_FAILED", "oh")}


def describe(part):
    """The driver's `cuGetErrorName` (part 0) or `cuGetErrorString` (part 1)."""

    def answer(code, text):
        word = WORDS.get(code, (None, None))[part]
        text._obj.value = word and (("CUDA_ERROR_" + word) if part == 0 else word).encode()
        return 0 if word else 1

    return answer


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (WORDS[100][1], "cuda/no-device", "cuInit failed with CUDA_ERROR_NO_DEVICE (100)."),
        ("oh - no", "cuda/failed", "cuInit failed with CUDA_ERROR_LAUNCH_FAILED (719)."),
        ("ah", "cuda/failed", "cuInit failed with ah."),
    ],
)
def test_pycuda_s_words_become_the_driver_s_name(binding, monkeypatch, words, code, problem):
    class Error(Exception):
        pass

    def init():
        raise Error(f"cuInit failed: {words}")

    library = SimpleNamespace(cuGetErrorName=describe(0), cuGetErrorString=describe(1))
    monkeypatch.setattr(driver.ctypes, "CDLL", lambda name: library)
    module = SimpleNamespace(Error=Error, init=init)
    binding(pycuda=package("pycuda"), **{"pycuda.driver": module})
    with fails(CudaError, code) as e:
        driver.open_cuda("pycuda")
    assert e.value.problem == problem


def test_pycuda_s_words_without_the_driver_s_library(binding, monkeypatch):
    class Error(Exception):
        pass

    def init():
        raise Error("cuInit failed: no CUDA-capable device is detected")

    def no_library(name):
        raise OSError(name)

    monkeypatch.setattr(driver.ctypes, "CDLL", no_library)
    binding(pycuda=package("pycuda"), **{"pycuda.driver": SimpleNamespace(Error=Error, init=init)})
    with fails(CudaError, "cuda/failed") as e:
        driver.open_cuda("pycuda")
    assert e.value.problem == "cuInit failed with no CUDA-capable device is detected."


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
