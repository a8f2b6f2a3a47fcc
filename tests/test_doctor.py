"""The doctor looks, is quick, and has a remedy for everything that is missing."""

import dataclasses
import json
import os
import shlex
import subprocess
import sys
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from edgeseg import doctor
from edgeseg.doctor import CheckResult, Diagnosis, examine
from edgeseg.errors import CudaError, MissingExtra
from edgeseg.files import write_atomic
from edgeseg.machine.facts import this_machine
from edgeseg.machine.nvml import GpuState
from edgeseg.machine.state import DeviceState
from edgeseg.packages.extras import install_command
from edgeseg.runtime.choice import Candidate
from tests.kit.cards import write_engine
from tests.kit.errors import fails

RUNS = Candidate("openvino", "openvino", "openvino", "2026.4")
LACKS = Candidate("onnxruntime", "onnxruntime", "cpu", None, "it is not installed", "pip install x")
FOREIGN = Candidate("tensorrt", "tensorrt", "tensorrt", None, "no GPU")
BROKEN = Candidate(
    "openvino", "openvino", "openvino", "2026.4", "libtbb is missing", "pip install y"
)
HERE = dataclasses.replace(
    this_machine(), gpu=None, gpu_note="no GPU", gpu_broken=False, jetson=None, l4t=None
)


@pytest.fixture(scope="module")
def diagnosis(tmp_path_factory):
    return examine(tmp_path_factory.mktemp("project"))


def areas(findings):
    return {finding.area: finding for finding in findings}


def test_every_area_is_looked_at(diagnosis):
    expected = ["edgeseg", "processor", "memory", "GPU"]
    expected += ["tensorrt", "tensorrt-rtx", "openvino", "onnxruntime", "training", "teacher"]
    expected += ["OpenCV", "video", "GStreamer", "display", "cameras", "disk"]
    expected += ["runs", "engines", "build-engine", "stream"]
    found = [finding.area for finding in diagnosis.findings if finding.area != "clocks"]
    assert found == expected


def test_whatever_is_missing_has_a_remedy_that_can_be_typed(diagnosis):
    for finding in diagnosis.findings:
        assert finding.found, finding.area
        assert finding.remedy or finding.state in ("ok", "none"), finding.area
        program = (shlex.split(finding.remedy) or ["pip"])[0]
        assert program in ("apt-get", "pip", "sudo", "edgeseg", "du", "cd"), finding.remedy


def test_the_summary_shows_each_remedy_below_its_finding():
    findings = (
        CheckResult("memory", "ok", "16 GiB"),
        CheckResult("onnxruntime", "missing", "it is not installed", "pip install x"),
    )
    assert Diagnosis(HERE, findings, (RUNS,), 1.26).summary().splitlines() == [
        "ok      memory       16 GiB",
        "missing onnxruntime  it is not installed",
        "                     fix: pip install x",
        "Finished in 1.3 s.",
    ]


def test_long_findings_are_wrapped_and_remedies_are_not(diagnosis):
    remedy = "sudo " * 40
    findings = (CheckResult("GPU", "warn", "word " * 60, remedy),)
    *wrapped, last, _ = Diagnosis(HERE, findings, (RUNS,), 1).summary().splitlines()
    assert len(wrapped) > 2
    assert max(map(len, wrapped)) <= 100
    assert last.strip() == f"fix: {remedy}".strip()


def test_the_json_is_one_document(diagnosis):
    document = json.loads(json.dumps(diagnosis.to_json()))
    assert document["machine"]["cpu"] == this_machine().cpu
    assert document["findings"][0]["area"] == "edgeseg"
    assert {"runtime", "version", "obstacle", "remedy"} <= set(document["runtimes"][0])


def test_the_check_fails_only_without_any_runtime():
    Diagnosis(HERE, (), (FOREIGN, RUNS), 1).check()
    with fails(MissingExtra, "extra/no-runtime"):
        Diagnosis(HERE, (), (FOREIGN, LACKS), 1).check()


def test_a_fresh_process_is_done_in_five_seconds_and_without_torch(tmp_path):
    code = (
        "import sys, time, json; from edgeseg.doctor import examine; examine();"
        "print(json.dumps([time.process_time(), 'torch' in sys.modules]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    seconds, torch = json.loads(run.stdout.splitlines()[-1])
    assert seconds < 5  # of the processor: 0.6, also on a busy machine; the clock shows 0.7 idle
    assert not torch
    assert list(tmp_path.iterdir()) == []


def test_the_gpu_in_its_three_states():
    *_, none = doctor._machine(HERE)
    assert (none.state, none.remedy) == ("none", "")
    broken = dataclasses.replace(HERE, gpu_note="the NVIDIA driver fails", gpu_broken=True)
    *_, missing = doctor._machine(broken)
    assert missing.state == "missing" and "the NVIDIA driver fails" in missing.found
    assert missing.remedy == "sudo ubuntu-drivers install && sudo reboot"
    assert missing.found.endswith("in a container: --gpus all")
    note = "a Jetson without CUDA; in a container: --runtime nvidia"
    *_, board = doctor._machine(dataclasses.replace(broken, jetson="Nano", gpu_note=note))
    assert board.found == note and board.remedy.endswith("nvidia-jetpack")
    orin = dataclasses.replace(
        HERE, gpu="Orin", compute_capability="8.7", gpu_memory_gib=7.4, jetson="Nano", l4t="36.4.3"
    )
    *_, found = doctor._machine(orin)
    assert found.state == "ok"
    assert found.found.startswith("Nano, L4T 36.4.3: Orin, compute capability 8.7, 7.4 GiB")


def test_runtimes_that_run_lack_break_or_are_for_others():
    states = {c: doctor._runtime(c) for c in (RUNS, LACKS, BROKEN, FOREIGN)}
    assert [finding.state for finding in states.values()] == ["ok", "missing", "missing", "none"]
    assert states[BROKEN].found == "libtbb is missing"
    assert states[FOREIGN].found == "not installed; no GPU"


def test_a_lean_runtime_runs_engines_and_builds_none(tmp_path):
    lean = Candidate("tensorrt", "tensorrt_lean", "tensorrt", "10.16.1.11", lean=True)
    finding = doctor._runtime(lean)
    assert finding.state == "ok"
    assert finding.found.startswith(
        "10.16.1.11, starts; lean runtime: runs engines of build-engine --lean"
    )
    build = {f.area: f for f in doctor._engines(tmp_path, (lean, RUNS))}["build-engine"]
    assert build.found.startswith("uses openvino; not used: tensorrt (only the lean runtime is")


def test_the_gpu_is_told_which_tensorrt_serves_it():
    v100 = dataclasses.replace(HERE, gpu="V100", compute_capability="7.0", gpu_memory_gib=16.0)
    *_, found = doctor._machine(v100)
    assert found.found.endswith(
        "supported by TensorRT 8.6 to 10.4; no INT8 tensor cores; CUDA 12.9 or older"
    )
    unknown = dataclasses.replace(v100, compute_capability="13.0")
    *_, found = doctor._machine(unknown)
    assert "supported" not in found.found


def test_a_jetson_is_told_its_jetpack():
    assert list(doctor._jetpack(HERE)) == []
    (found,) = doctor._jetpack(dataclasses.replace(HERE, l4t="36.4.3"))
    assert found == CheckResult(
        "JetPack",
        "ok",
        "6.1 and 6.2 (L4T 36.4.3): CUDA 12.6, TensorRT 10.3 (up to 10.7 by upgrade), Python 3.10",
    )
    (found,) = doctor._jetpack(dataclasses.replace(HERE, l4t="41.0.0"))
    assert (found.state, found.remedy) == ("warn", "edgeseg doctor --matrix")


def clocks(fastest, **values):
    return list(doctor._clocks(DeviceState(**values), fastest))


def test_the_clocks_of_a_jetson_have_a_remedy():
    budget = {"power_mode": "15W (mode 0)", "gpu": GpuState(min_mhz=306.0, max_mhz=612.0)}
    (slow,) = clocks(2, **budget)
    assert slow == CheckResult(
        "clocks",
        "warn",
        "power mode 15W (mode 0), GPU up to 612 MHz, not the fastest mode",
        "sudo nvpmodel -m 2 && sudo jetson_clocks",
    )
    (sleeps,) = clocks(0, **budget)
    assert (sleeps.state, sleeps.remedy) == ("warn", "sudo jetson_clocks")
    (unknown,) = clocks(None, **budget)
    assert unknown.remedy == "sudo jetson_clocks"
    (locked,) = clocks(0, **(budget | {"gpu": GpuState(min_mhz=612.0, max_mhz=612.0)}))
    assert (locked.state, locked.remedy) == ("ok", "")


def test_the_clocks_of_others_are_told_where_they_show():
    assert clocks(None) == clocks(None, counters={"quota": 0}) == []
    (found,) = clocks(None, cpu_governor="powersave", counters={"quota": 7})
    assert found == CheckResult("clocks", "ok", "CPU governor powersave, 7 x quota")


def test_a_tensorrt_newer_than_the_matrix_is_named():
    newer = Candidate("tensorrt", "tensorrt", "tensorrt", "12.0.1")
    assert doctor._runtime(newer).found.startswith(
        "12.0.1, starts; tensorrt 12.0.1 is newer than 11.4"
    )
    known = Candidate("tensorrt", "tensorrt", "tensorrt", "10.3.0")
    assert doctor._runtime(known).found == "10.3.0, starts"


def test_training_names_what_lacks(monkeypatch):
    versions = {"torch": "2.6.0", "scipy": "1.15"}
    monkeypatch.setattr(doctor, "installed", versions.get)
    finding = doctor._training(None)
    assert "timm, safetensors, onnx, onnxscript" in finding.found
    assert finding.remedy == install_command("train")


@pytest.mark.parametrize(
    ("result", "state", "words"),
    [
        ("", "ok", "PyTorch computes a gradient; torch "),
        (None, "ok", "PyTorch loads slowly and was not tried; torch "),
        ("ImportError: libcudnn.so.9", "missing", "PyTorch does not work: ImportError: libcudnn"),
    ],
)
def test_a_pytorch_that_computes_is_slow_or_breaks(monkeypatch, result, state, words):
    monkeypatch.setattr(doctor, "installed", lambda name: "1.0")
    finding = doctor._training(SimpleNamespace(result=lambda: result))
    assert finding.state == state and finding.found.startswith(words)
    assert ("--force-reinstall" in finding.remedy) is (state == "missing")


def test_a_tensorrt_that_does_not_start_runs_nothing(monkeypatch):
    old = CudaError("tensorrt 11.4 does not start", remedy="a newer driver", code="cuda/old-driver")
    started = []

    def start(api, kind, keep):
        started.append(kind)
        if old:
            raise old

    monkeypatch.setattr(doctor, "load", lambda runtime: runtime)
    monkeypatch.setattr(doctor, "start", start)
    candidate = Candidate("tensorrt", "tensorrt", "tensorrt", "11.4")
    found = doctor._tried(candidate)
    assert (found.obstacle, found.remedy) == (old.problem, old.remedy) and not found.runs
    rtx = Candidate("tensorrt-rtx", "tensorrt_rtx", "rtx", "1.7", "no GPU")
    assert doctor._runtime(rtx) == CheckResult("tensorrt-rtx", "missing", old.problem, old.remedy)
    started.clear()
    old = None
    assert doctor._tried(candidate) == candidate and started == ["Runtime", "Builder"]
    assert "; its builder starts, for other GPUs" in doctor._runtime(rtx).found
    started.clear()
    doctor._tried(dataclasses.replace(candidate, lean=True))
    assert started == ["Runtime"]


def test_a_pyav_that_does_not_encode(monkeypatch):
    monkeypatch.setattr(doctor, "try_pyav", lambda: "no libx264")
    monkeypatch.setattr(doctor, "installed", lambda name: "18.1")
    video = areas(doctor._opencv(HERE))["video"]
    assert (video.state, video.found) == ("warn", "PyAV 18.1 does not work: no libx264")


def test_weights_that_are_not_on_this_disk(monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    finding = doctor._teacher()
    assert (finding.state, finding.remedy) == ("warn", install_command("train"))


def test_gstreamer_matters_on_a_jetson(monkeypatch):
    error = MissingExtra("no GStreamer.", remedy="apt-get install it", code="extra/missing")
    monkeypatch.setattr(doctor, "choose_gstreamer", Mock(side_effect=error))
    plain = areas(doctor._opencv(HERE))["GStreamer"]
    jetson = areas(doctor._opencv(dataclasses.replace(HERE, jetson="Orin Nano")))["GStreamer"]
    assert (plain.state, jetson.state, plain.remedy) == ("none", "warn", error.remedy)
    assert plain.found.startswith("csi:// and gst:// sources are unavailable: no GStreamer")


@pytest.mark.parametrize(("library", "trial"), [("OpenCV", "gstreamer"), ("PyGObject", "appsink")])
@pytest.mark.parametrize(("wrong", "state"), [("", "ok"), ("no frame", "warn")])
def test_gstreamer_is_tried_in_the_way_that_sources_take(monkeypatch, library, trial, wrong, state):
    monkeypatch.setattr(doctor, "choose_gstreamer", lambda cv2: library)
    monkeypatch.setattr(doctor, "load_gstreamer", lambda: SimpleNamespace(version="1.22.0"))
    monkeypatch.setattr(doctor, f"try_{trial}", lambda found: wrong)
    finding = doctor._gstreamer(Mock(**{"getBuildInformation.return_value": ""}), HERE)
    assert (finding.state, f"by {library}" in finding.found) == (state, True)
    assert ("gstreamer1.0-plugins-good" in finding.remedy) == (state == "warn")


def test_an_opencv_that_does_not_load(monkeypatch):
    def broken():
        raise MissingExtra("OpenCV needs libGL.so.1", remedy="apt-get install libgl1")

    monkeypatch.setattr(doctor, "import_opencv", broken)
    (finding,) = doctor._opencv(HERE)
    assert (finding.state, finding.found, finding.remedy) == (
        "missing",
        "OpenCV needs libGL.so.1",
        "apt-get install libgl1",
    )


@pytest.mark.skipif(sys.platform != "linux", reason="a desktop always has a display")
def test_a_display_is_found_by_its_name(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    assert doctor._display().state == "none"
    monkeypatch.setenv("DISPLAY", ":7")
    assert doctor._display() == CheckResult("display", "ok", ":7")


def test_cameras_are_listed_with_their_names(tmp_path, monkeypatch):
    devices, names = tmp_path / "dev", tmp_path / "names"
    assert doctor._cameras(devices, names).state == "none"
    devices.mkdir()
    for node in ("video0", "video1", "null"):
        (devices / node).touch()
    (names / "video0").mkdir(parents=True)
    (names / "video0" / "name").write_text("UVC Camera\n")
    finding = doctor._cameras(devices, names)
    assert (finding.state, finding.found) == ("ok", "video0 UVC Camera, video1")
    monkeypatch.setattr(os, "access", lambda path, mode: path.name != "video1")
    finding = doctor._cameras(devices, names)
    assert finding.state == "missing"
    assert finding.found.endswith("video1")
    assert finding.remedy.startswith("sudo usermod -aG video")


def test_a_disk_that_is_full_or_read_only(tmp_path, monkeypatch):
    assert doctor._disk(tmp_path).state in ("ok", "warn")
    monkeypatch.setattr(doctor, "LOW_DISK_GIB", 1e9)
    assert doctor._disk(tmp_path).state == "warn"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    finding = doctor._disk(tmp_path)
    assert (finding.state, finding.found) == ("missing", f"{tmp_path} is read-only")


def test_an_empty_project_says_what_to_type(tmp_path):
    assert doctor._runs(tmp_path / "runs").remedy == "edgeseg train DATA"
    found = areas(doctor._engines(tmp_path / "engines", (FOREIGN, RUNS)))
    assert found["engines"].remedy == "edgeseg build-engine"
    assert found["build-engine"].found == "uses openvino; not used: tensorrt (no GPU)"
    assert (found["stream"].state, found["stream"].remedy) == ("none", "edgeseg build-engine")


def test_the_newest_run_is_named(tmp_path):
    for age, name in enumerate(("screws", "bottles")):
        card = tmp_path / name / "card.json"
        write_atomic(card, b"{}")
        os.utime(card, (1000 - age, 1000 - age))
    finding = doctor._runs(tmp_path)
    assert (finding.state, finding.found) == ("ok", f"2 in {tmp_path}/, newest: screws")


@pytest.fixture
def engines(tmp_path):
    """Write engines with their cards, the newest first: (runtime, target, file)."""

    def write(*kinds):
        for age, (runtime, target, file) in enumerate(kinds):
            path = write_engine(tmp_path / file, runtime=runtime, target=target)
            os.utime(path.with_suffix(".json"), (1000 - age, 1000 - age))
        return tmp_path

    return write


def test_stream_takes_the_newest_engine_that_runs_here(engines):
    folder = engines(
        ("tensorrt-rtx", "sm00", "a.engine"),
        ("openvino", "cpu", "b.onnx"),
        ("openvino", "cpu", "c.onnx"),
    )
    found = areas(doctor._engines(folder, (FOREIGN, RUNS)))
    assert found["engines"] == CheckResult("engines", "ok", f"3 in {folder}/, newest: a")
    assert found["stream"].state == "ok"
    assert found["stream"].found.startswith(
        f"uses b.onnx (openvino, fp16); skipped a: {folder}/a.eng"
    )


def test_an_engine_of_a_runtime_that_lacks_is_not_taken(engines):
    folder = engines(("onnxruntime", "cpu", "a.onnx"))
    found = areas(doctor._engines(folder, (RUNS, LACKS)))
    assert (found["stream"].state, found["stream"].remedy) == ("none", "edgeseg build-engine")
    assert "skipped a: onnxruntime" in found["stream"].found


def test_a_damaged_engine_or_card_is_passed_over(engines):
    folder = engines(("openvino", "cpu", "a.onnx"), ("openvino", "cpu", "b.onnx"))
    (folder / "a.onnx").write_bytes(b"another plan")
    found = areas(doctor._engines(folder, (RUNS,)))["stream"].found
    assert found.startswith("uses b.onnx (openvino, fp16); skipped a: ")
    (folder / "b.json").write_text("{")
    found = areas(doctor._engines(folder, (RUNS,)))["stream"].found
    assert "; skipped b: " in found and not found.startswith("uses")


def test_a_machine_without_any_runtime(tmp_path):
    found = areas(doctor._engines(tmp_path, (FOREIGN, LACKS)))
    assert (found["build-engine"].state, "stream" in found) == ("missing", False)
    assert found["build-engine"].remedy == install_command("cpu")
