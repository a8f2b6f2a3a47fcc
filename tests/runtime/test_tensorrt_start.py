"""A TensorRT that does not start is one error, with NVIDIA's own libraries; never a crash."""

import dataclasses

import pytest

from edgeseg.machine.facts import this_machine
from edgeseg.runtime import choice
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.choice import cuda_of
from edgeseg.runtime.tensorrt import FLAVORS, Api, not_started, remedy_of
from tests.kit.old_tensorrt import library
from tests.kit.real_tensorrt import LEAN, LEAN_ALONE, RTX, wheels
from tools.cudasim.skipping import run_or_skip


def error_of(version, work, *, driver):
    if version != RTX:
        wheels()
    scenario = "tests.runtime.real_scenarios:error_of"
    report = run_or_skip(scenario, version=version, work=work, driver=driver)
    assert report.error is None, f"{report.error}\n{report.output}"
    return report.result


@pytest.mark.parametrize("work", ["open", "build"])
@pytest.mark.parametrize(
    ("version", "driver", "needed", "supported", "remedy"),
    [
        ("10.16.1.11", 11080, "12", "11.8", "install an NVIDIA driver 525 or newer"),
        ("11.4.0.106", 12040, "13", "12.4", "pip install tensorrt-cu12"),
    ],
)
def test_a_driver_older_than_the_cuda_of_a_wheel(version, work, driver, needed, supported, remedy):
    assert version in LEAN  # its runtime is NVIDIA's: it logs, and its object crashes in any call
    kind, code, problem, said = error_of(version, work, driver=driver)
    assert (kind, code) == ("CudaError", "cuda/old-driver")
    assert f"tensorrt {version} does not start" in problem and "error: 35" in problem
    assert f"built for CUDA {needed}. The driver" in problem
    assert problem.endswith(f"supports CUDA {supported}.") and remedy in said


def test_the_lean_runtime_alone_names_the_lean_package_for_an_old_driver():
    kind, code, problem, _ = error_of(LEAN_ALONE, "open", driver=11080)
    assert (kind, code) == ("CudaError", "cuda/old-driver")
    assert "tensorrt 10.16.1.11 does not start" in problem and "error: 35" in problem


@pytest.mark.parametrize("work", ["open", "build"])
def test_another_failure_of_cuda_is_no_old_driver(work):
    _, code, problem, remedy = error_of("11.4.0.106", work, driver=13000)
    assert code == "cuda/tensorrt-start" and "error: 36" in problem
    assert "edgeseg doctor" in remedy and "driver 580" not in remedy


@pytest.mark.parametrize("version", ["8.6.1", "10.3.0"])
def test_a_library_that_answers_with_a_null_pointer(version):
    _, code, problem, _ = error_of(version, "build", driver=12040)
    assert code == "cuda/tensorrt-start" and "factory function returned nullptr" in problem


def test_tensorrt_rtx_notices_an_old_driver_when_it_reads_an_engine():
    pytest.importorskip("tensorrt_rtx")
    _, code, problem, remedy = error_of(RTX, "open", driver=12040)
    assert code == "cuda/old-driver" and problem.endswith("supports CUDA 12.4.")
    assert "pip uninstall -y tensorrt-rtx-cu13" in remedy
    assert remedy.endswith("pip install tensorrt-rtx-cu12")


def test_a_jetson_gets_the_tensorrt_of_its_jetpack(monkeypatch):
    board = dataclasses.replace(this_machine(), jetson="NVIDIA Jetson Orin Nano", l4t="36.4.3")
    monkeypatch.setattr(trt, "this_machine", lambda device=0: board)
    api = Api(FLAVORS["tensorrt"], library("11.4.0"))
    error = not_started(api, ["CUDA initialization failure with error: 35"])
    assert error.code == "cuda/old-driver" and "python3-libnvinfer" in error.remedy


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Error Code 2: OutOfMemory (Requested size was 48234496 bytes.)", "free GPU memory"),
        ("Error Code 1: Cuda Runtime (out of memory)", "free GPU memory"),
        ("Error Code 1: Cuda Runtime (an illegal memory access was encountered)", "restart the"),
        ("Error Code 1: Cuda Runtime (unspecified launch failure)", "restart the program"),
        ("Error Code 6: The engine plan file is generated on an incompatible device", None),
    ],
)
def test_the_remedy_depends_on_the_failure(said, words):
    found = remedy_of(["Something else.", said])
    assert found is None if words is None else words in found


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"tensorrt": "11.4", "tensorrt-cu13": "11.4", "tensorrt-cu13-libs": "11.4"}, "13"),
        ({"tensorrt-cu12-bindings": "11.4", "tensorrt-cu13-bindings": "11.3"}, "12"),
        ({"tensorrt-cu12-libs": "11.4", "tensorrt-cu13-libs": "11.4"}, None),
        ({"tensorrt": "11.4"}, None),  # JetPack's
    ],
)
def test_the_cuda_of_an_installed_tensorrt(monkeypatch, installed, expected):
    monkeypatch.setattr(choice, "installed", installed.get)
    assert cuda_of(FLAVORS["tensorrt"], "11.4") == expected
