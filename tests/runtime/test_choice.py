"""The preferred runtime is used, and each other one has the reason why not."""

import dataclasses
import sys
from importlib.machinery import ModuleSpec

import pytest

from edgeseg.errors import MissingExtra
from edgeseg.extras import install_command
from edgeseg.machine.facts import this_machine
from edgeseg.runtime import choice
from edgeseg.runtime.choice import Candidate, best, candidates, probe, reasons
from tests.kit.errors import fails

NO_GPU = dataclasses.replace(
    this_machine(), gpu=None, compute_capability=None, gpu_note="no GPU", jetson=None
)
RTX = dataclasses.replace(NO_GPU, gpu="NVIDIA RTX A2000", compute_capability="8.6", gpu_note="it")
ORIN = dataclasses.replace(RTX, gpu="Orin", compute_capability="8.7", jetson="Jetson Orin Nano")
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


def test_openvino_is_taken_before_onnxruntime(packages):
    packages(openvino="2026.4", onnxruntime="1.31")
    found = candidates(NO_GPU)
    order = ["tensorrt", "tensorrt-rtx", "openvino", "onnxruntime"]
    assert [candidate.runtime for candidate in found] == order
    assert best(found) == Candidate("openvino", "openvino", "openvino", "2026.4")
    assert reasons("openvino", found) == "not tensorrt: no GPU; not tensorrt-rtx: no GPU"


def test_onnxruntime_is_the_last(packages):
    packages(onnxruntime="1.31")
    found = candidates(NO_GPU)
    assert best(found).runtime == "onnxruntime"
    assert reasons("onnxruntime", found).endswith("; not openvino: not installed")
    assert runtimes(found)["openvino"].remedy == install_command("openvino")


def test_a_choice_that_was_asked_for_is_said(packages):
    packages(openvino="2026.4", onnxruntime="1.31")
    why = reasons("onnxruntime", candidates(NO_GPU))
    assert why.endswith("not openvino: another was requested")


def test_the_best_has_no_reasons(packages):
    packages(onnxruntime="1.31")
    assert reasons("tensorrt", candidates(NO_GPU)) == ""


def test_no_runtime_at_all(packages):
    packages()
    with fails(MissingExtra, "extra/no-runtime") as caught:
        best(candidates(NO_GPU))
    assert caught.value.remedy == install_command("cpu")


def test_without_a_gpu_nothing_helps_against_its_lack(packages):
    packages(tensorrt_rtx="1.7")
    found = runtimes(candidates(NO_GPU))
    assert (found["tensorrt"].version, found["tensorrt"].remedy) == (None, "")
    assert (found["tensorrt-rtx"].version, found["tensorrt-rtx"].obstacle) == ("1.7", "no GPU")


def test_with_a_gpu(packages):
    packages(tensorrt_rtx="1.7", onnxruntime="1.31")
    found = runtimes(candidates(RTX))
    assert found["tensorrt"].remedy == install_command("tensorrt")
    assert found["tensorrt-rtx"].obstacle == NO_BINDING
    assert found["tensorrt-rtx"].remedy == "pip install 'cuda-bindings'"


def test_a_jetson_gets_the_binding_of_its_cuda(packages):
    packages(tensorrt="10.3.0")
    orin = dataclasses.replace(ORIN, l4t="36.4.3")
    found = runtimes(candidates(orin))["tensorrt"]
    assert (found.obstacle, found.remedy) == (NO_BINDING, "pip install 'cuda-bindings==12.*'")


def test_a_gpu_with_a_binding_runs_tensorrt(packages):
    packages(tensorrt="10.3.0", tensorrt_rtx="1.7", cuda="12.9", onnxruntime="1.31")
    found = candidates(RTX)
    assert best(found).runtime == "tensorrt"
    assert runtimes(found)["tensorrt-rtx"].runs


def test_a_jetson_has_jetpacks_tensorrt_and_no_rtx(packages):
    packages(tensorrt_rtx="1.7", onnxruntime="1.31")
    found = runtimes(candidates(ORIN))
    assert found["tensorrt"].remedy.startswith("sudo apt-get install python3-libnvinfer")
    assert found["tensorrt-rtx"].obstacle == "does not support Jetson"


def test_a_tensorrt_without_kernels_for_the_gpu(packages):
    packages(tensorrt="10.13.0", tensorrt_rtx="1.7.1", onnxruntime="1.31")
    v100 = dataclasses.replace(RTX, gpu="V100", compute_capability="7.0")
    found = runtimes(candidates(v100))
    assert "tensorrt 10.13.0" in found["tensorrt"].obstacle
    assert found["tensorrt"].remedy == 'pip install "tensorrt-cu12==10.4.0"'
    assert "tensorrt-rtx 1.7.1" in found["tensorrt-rtx"].obstacle
    assert found["tensorrt-rtx"].remedy == ""
    assert best(candidates(v100)).runtime == "onnxruntime"


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
