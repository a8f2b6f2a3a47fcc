"""The preferred runtime is used, and each other one has the reason why not."""

import dataclasses
import sys
from importlib.machinery import ModuleSpec

import pytest

from edgeseg.errors import MissingExtra
from edgeseg.machine.facts import this_machine
from edgeseg.packages.extras import install_command
from edgeseg.packages.system import system_packages
from edgeseg.runtime import choice
from edgeseg.runtime.choice import Candidate, best, builders, candidates, probe, reasons
from tests.kit.errors import fails

NO_GPU = dataclasses.replace(
    this_machine(), gpu=None, compute_capability=None, gpu_note="no GPU", jetson=None
)
RTX = dataclasses.replace(NO_GPU, gpu="NVIDIA RTX A2000", compute_capability="8.6", gpu_note="it")
OLD = dataclasses.replace(RTX, cuda="12.4")  # its driver
ORIN = dataclasses.replace(RTX, gpu="Orin", compute_capability="8.7", jetson="Nano", l4t="36.4.3")
H100 = dataclasses.replace(RTX, gpu="NVIDIA H100", compute_capability="9.0")
XAVIER = dataclasses.replace(RTX, gpu="Xavier", compute_capability="7.2")
V100 = dataclasses.replace(RTX, gpu="V100", compute_capability="7.0")
TENSORRT_10_4 = 'pip install "tensorrt-cu12==10.4.0"'
NO_BINDING = "no CUDA binding is installed (cuda-python or PyCUDA)"


@pytest.fixture
def packages(monkeypatch):
    """Choose which runtimes are installed: module -> version."""

    def install(**versions):
        specs = {name: ModuleSpec(name, None) for name in versions}
        named = {name.replace("_", "-"): version for name, version in versions.items()}
        named["tensorrt-rtx-cu13"] = named.pop("tensorrt-rtx", None)
        monkeypatch.setattr(choice, "find_spec", specs.get)
        monkeypatch.setattr(choice, "installed", named.get)
        monkeypatch.setattr(choice, "found_bindings", lambda: [n for n in specs if n == "cuda"])

    return install


def runtimes(found):
    return {candidate.runtime: candidate for candidate in found}


OPENVINO = {"openvino": "2026.4", "onnxruntime": "1.31"}
CPU, RTX_ALONE = {"onnxruntime": "1.31"}, {"tensorrt_rtx": "1.7"}


@pytest.mark.parametrize(
    ("here", "versions", "expected"),
    [
        (NO_GPU, OPENVINO, "openvino"),
        (NO_GPU, CPU, "onnxruntime"),
        (RTX, {"tensorrt": "10.3.0", "cuda": "12.9"} | RTX_ALONE | CPU, "tensorrt"),
        (RTX, {"cuda": "12.9"} | RTX_ALONE | CPU, "tensorrt-rtx"),
        (
            V100,
            {"tensorrt": "10.13.0", "tensorrt_rtx": "1.7.1", "cuda": "12.9"} | CPU,
            "onnxruntime",
        ),
    ],
)
def test_best_is_the_first_that_runs(packages, here, versions, expected):
    packages(**versions)
    found = candidates(here)
    order = ["tensorrt", "tensorrt-rtx", "openvino", "onnxruntime"]
    assert [candidate.runtime for candidate in found] == order
    assert best(found).runtime == expected


@pytest.mark.parametrize(
    ("here", "versions", "runtime", "obstacle", "remedy"),
    [
        (NO_GPU, CPU, "openvino", "not installed", install_command("openvino")),
        (NO_GPU, RTX_ALONE, "tensorrt", "no GPU", ""),
        (NO_GPU, RTX_ALONE, "tensorrt-rtx", "no GPU", ""),
        (RTX, RTX_ALONE, "tensorrt", "not installed", install_command("tensorrt")),
        (RTX, RTX_ALONE, "tensorrt-rtx", NO_BINDING, "pip install 'cuda-bindings'"),
        (OLD, {"tensorrt": "10.3.0"}, "tensorrt", NO_BINDING, "pip install 'cuda-bindings==12.*'"),
        (ORIN, {"tensorrt": "10.3.0"}, "tensorrt", NO_BINDING, "pip install 'cuda-bindings==12.*'"),
        (ORIN, RTX_ALONE, "tensorrt", "not installed", system_packages("python3-libnvinfer")),
        (ORIN, RTX_ALONE, "tensorrt-rtx", "does not support Jetson", ""),
        (V100, {"tensorrt": "10.13.0"}, "tensorrt", "10.13.0 does not", TENSORRT_10_4),
        (V100, RTX_ALONE, "tensorrt-rtx", "does not support V100 (compute capability 7.0)", ""),
        (H100, CPU, "tensorrt-rtx", "does not support NVIDIA H100 (compute capability 9.0)", ""),
        (H100, CPU, "tensorrt", "not installed", install_command("tensorrt")),
        (XAVIER, CPU, "tensorrt", "does not support Xavier (compute capability 7.2)", ""),
    ],
)
def test_candidates_have_an_obstacle_and_its_remedy(
    packages, here, versions, runtime, obstacle, remedy
):
    packages(**versions)
    found = runtimes(candidates(here))[runtime]
    assert obstacle in found.obstacle and not found.runs
    assert found.remedy == remedy
    assert found.version == versions.get(runtime.replace("-", "_"))


@pytest.mark.parametrize(
    ("cuda", "parts", "obstacle"),
    [
        (
            "12.4",
            ["tensorrt-cu13-libs"],
            "was built for CUDA 13, the driver 550.90 supports CUDA 12.4",
        ),
        ("12.4", ["tensorrt-cu12-libs"], ""),
        ("13.0", ["tensorrt-cu13-libs"], ""),
        (None, ["tensorrt-cu13-libs"], ""),
    ],
)
def test_a_wheel_for_a_newer_driver_is_not_chosen(monkeypatch, cuda, parts, obstacle):
    here = dataclasses.replace(RTX, cuda=cuda, driver="550.90")
    versions = dict.fromkeys(["tensorrt", *parts], "11.4.0.106")
    monkeypatch.setattr(choice, "find_spec", lambda name: ModuleSpec(name, None))
    monkeypatch.setattr(choice, "installed", versions.get)
    monkeypatch.setattr(choice, "found_bindings", lambda: ("cuda-python",))
    found = runtimes(candidates(here))["tensorrt"]
    assert (found.obstacle, found.runs) == (obstacle, not obstacle)
    if obstacle:
        assert found.remedy.endswith("pip install tensorrt-cu12")
        assert "pip uninstall -y tensorrt tensorrt-cu13-libs" in found.remedy


@pytest.mark.parametrize("distribution", ["tensorrt", "tensorrt-cu12", "tensorrt-cu13"])
def test_the_version_of_tensorrt_under_each_name(monkeypatch, distribution):
    monkeypatch.setattr(choice, "find_spec", lambda name: ModuleSpec(name, None))
    monkeypatch.setattr(choice, "installed", {distribution: "10.4.0"}.get)
    assert runtimes(candidates(RTX))["tensorrt"].version == "10.4.0"


def test_reasons_name_the_runtimes_before_the_one_taken(packages):
    packages(**OPENVINO)
    no_gpu = "not used: tensorrt and tensorrt-rtx (no GPU)"
    assert reasons("tensorrt", candidates(NO_GPU)) == ""
    assert reasons("openvino", candidates(NO_GPU)) == no_gpu
    requested = f"{no_gpu}, openvino (another was requested)"
    assert reasons("onnxruntime", candidates(NO_GPU)) == requested
    packages(**CPU)
    missing = f"{no_gpu}, openvino (not installed)"
    assert reasons("onnxruntime", candidates(NO_GPU)) == missing


def test_no_runtime_at_all(packages):
    packages()
    with fails(MissingExtra, "extra/no-runtime") as caught:
        best(candidates(NO_GPU))
    assert caught.value.remedy == install_command("cpu")


def test_a_module_without_a_distribution_is_still_there(monkeypatch):
    monkeypatch.setattr(choice, "find_spec", lambda name: ModuleSpec(name, None))
    monkeypatch.setattr(choice, "installed", lambda name: None)
    assert runtimes(candidates(RTX))["tensorrt"].version == "unknown version"


def test_a_broken_runtime_runs_nothing(tmp_path, monkeypatch):
    (tmp_path / "broken_ov.py").write_text("raise ImportError('libtbb.so.12 is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    probed = probe(Candidate("openvino", "broken_ov", "openvino", "2026.4"))
    assert not probed.runs
    assert "libtbb.so.12 is missing" in probed.obstacle
    assert probed.remedy == install_command("openvino", "--force-reinstall")


def test_probing_keeps_what_is_sound_or_missing():
    sound = Candidate("openvino", "json", "openvino", "2026.4")
    assert probe(sound) is sound
    missing = Candidate("openvino", "no_such", "openvino", None, "not installed")
    assert probe(missing) is missing


def test_candidates_import_nothing():
    before = set(sys.modules)
    candidates(this_machine())
    assert not {"torch", "openvino", "onnxruntime", "tensorrt_rtx"} & (set(sys.modules) - before)


LEAN_ALONE = {"tensorrt_lean": "10.16.1.11", "cuda": "12.9"}


def test_the_lean_runtime_runs_engines_and_builds_none(packages):
    packages(**LEAN_ALONE | CPU)
    lean = runtimes(candidates(RTX))["tensorrt"]
    assert (lean.runs, lean.lean, lean.version) == (True, True, "10.16.1.11")
    assert lean.module == "tensorrt_lean"
    building = builders(candidates(RTX))
    assert best(candidates(RTX)).runtime == "tensorrt" and best(building).runtime == "onnxruntime"
    assert "tensorrt (only the lean runtime is installed, which cannot build)" in reasons(
        "onnxruntime", building
    )
    assert runtimes(building)["tensorrt"].remedy == install_command("tensorrt")
    packages(**LEAN_ALONE | {"tensorrt": "10.3.0"})
    assert not runtimes(candidates(RTX))["tensorrt"].lean


def test_the_lean_runtime_has_the_obstacles_of_every_tensorrt(packages):
    packages(**LEAN_ALONE)
    assert runtimes(candidates(NO_GPU))["tensorrt"].obstacle == "no GPU"
    packages(tensorrt_lean="10.16.1.11")
    assert runtimes(candidates(RTX))["tensorrt"].obstacle == NO_BINDING


def test_a_lean_runtime_for_a_newer_driver_is_exchanged_for_the_same_version(monkeypatch):
    here = dataclasses.replace(RTX, cuda="12.4", driver="550.90")
    names = ["tensorrt-lean-cu13", "tensorrt-lean-cu13-libs", "tensorrt-lean-cu13-bindings"]
    versions = dict.fromkeys(names, "11.4.0.106")
    specs = {name: ModuleSpec(name, None) for name in ("tensorrt_lean", "cuda")}
    monkeypatch.setattr(choice, "find_spec", specs.get)
    monkeypatch.setattr(choice, "installed", versions.get)
    found = runtimes(candidates(here))["tensorrt"]
    assert found.obstacle == "was built for CUDA 13, the driver 550.90 supports CUDA 12.4"
    assert f"pip uninstall -y {' '.join(names)} " in found.remedy
    assert found.remedy.endswith("pip install tensorrt-lean-cu12==11.4.0.106")
