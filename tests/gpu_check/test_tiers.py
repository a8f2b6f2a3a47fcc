"""Device, engines and cameras, with planted libraries and files."""

import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgeseg import loading
from edgeseg.exporter import export
from edgeseg.gpu_check import cameras, device, engines, kernels
from edgeseg.gpu_check.finding import Skipped
from edgeseg.gpu_check.worker import carry_out
from edgeseg.machine.nvml import Gpu, GpuState

GPU = Gpu(name="RTX A2000", compute_capability="8.6", memory_gib=6.0, driver="580.1")
BUS_ID = "0000:02:00.0"
SMI = "RTX A2000, 580.1, 8.6, 6138, 41, 210, 12.5"


@pytest.fixture
def smi(monkeypatch, tmp_path):
    """Plant an nvidia-smi and a driver; return a function that sets what the first one writes."""

    class Planted:
        def __init__(self, bus_id=BUS_ID):
            assert bus_id == BUS_ID

        def __enter__(self):
            return SimpleNamespace(
                facts=lambda: GPU,
                read=lambda: GpuState(mhz=210, temperature_c=40, watts=12.0),
                device=SimpleNamespace(name=GPU.name, compute_capability="8.6"),
            )

        def __exit__(self, *raised):
            pass

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(device, "Monitor", Planted)
    monkeypatch.setattr(device, "open_cuda", Planted)
    monkeypatch.setattr(device, "read_gpus", lambda: [SimpleNamespace(bus_id=BUS_ID)])

    def plant(text):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ntest \"$3\" = --id={BUS_ID} && echo '{text}'\n")
        program.chmod(0o755)

    return plant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SMI, ""),
        (SMI.replace("580.1", "535.0"), "driver: 580.1 and 535.0"),
        (SMI.replace("6138", "12288"), "memory in GiB: 6.0 and 12288"),
        (SMI.replace("41", "[N/A]"), "temperature in C: 40 and [N/A]"),
    ],
)
def test_nvml_is_compared_with_nvidia_smi(smi, text, words):
    smi(text)
    found = device.nvml()
    assert words in found.found and found.passed is (words == "")


def test_without_nvidia_smi_nothing_is_compared(smi):
    with pytest.raises(Skipped, match="nvidia-smi is not installed"):
        device.nvml()


@pytest.mark.parametrize(
    ("layers", "passed"),
    [
        ({"convolutions": 68, "convolutions_fp16": 68}, True),
        ({"convolutions": 68, "convolutions_fp16": 60, "convolutions_fp32": 8}, False),
        ({}, False),
    ],
)
def test_an_engine_has_its_convolutions_in_fp16(monkeypatch, layers, passed):
    engine = SimpleNamespace(card=SimpleNamespace(layers=layers))
    monkeypatch.setattr(engines, "built", lambda *_: SimpleNamespace(engine=engine))
    assert engines.types().passed is passed


def test_both_forms_of_the_head_are_timed_and_the_taken_one_is_told(monkeypatch):
    times = {"cpu": 1.0, "gpu": 1.2}

    def timed(runtime, side, graph, config, gpu, form):
        taken = {"onnxruntime": "cpu", "tensorrt-rtx": "gpu"}[runtime]
        assert form != taken  # the engine of the other checks
        return times[form or taken], "an engine"

    monkeypatch.setattr(engines, "_p50", timed)
    for runtime, passed in (("onnxruntime", True), ("tensorrt-rtx", False)):
        found = engines.head_forms(runtime=runtime)
        assert found.passed is passed and "cpu 1.00 ms, gpu 1.20 ms; taken: " in found.found
    times["gpu"] = 1.04
    assert engines.head_forms(runtime="tensorrt-rtx").passed


def test_an_engine_is_built_in_the_form_for_its_target(monkeypatch):
    made = []

    def export_graph(network, path, config):
        made.append(config.optimize_for)
        return SimpleNamespace(graph=path)

    def build_engine(graph, config, out):
        made.append((config.runtime, config.lean))

    monkeypatch.setattr(export, "export_graph", export_graph)
    monkeypatch.setattr(engines, "build_engine", build_engine)
    monkeypatch.setattr(engines, "network", lambda side: None)
    build = engines.built.__wrapped__
    build("tensorrt-rtx", 64)
    build("tensorrt-rtx", 64, form="cpu")
    build("tensorrt", 64, lean=True)
    assert made[:4] == ["gpu", ("tensorrt-rtx", False), "cpu", ("tensorrt-rtx", False)]
    assert made[4:] == ["gpu", ("tensorrt", True)]
    assert build("tensorrt", 64, "bottle.onnx").graph == Path("bottle.onnx")
    assert made[6:] == [("tensorrt", False)]


def test_a_board_without_pytorch_checks_an_engine_of_a_given_graph(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "edgeseg.exporter.export")  # imported again, by the check
    given = {"runtime": "onnxruntime", "side": 64}
    missing = carry_out("edgeseg.gpu_check.engines:build", given)
    assert (missing["state"], missing["found"]) == ("SKIP", "package torch is not installed.")
    given["graph"] = str(exported.graph)
    for name, state, words in (
        ("build", "PASS", "screws.onnx: onnxruntime "),
        ("masks", "PASS", "0 verdicts flipped"),
        ("latency", "SKIP", "ms; eager PyTorch is timed with"),
        ("head_forms", "SKIP", "a graph has one form of the head"),
    ):
        answer = carry_out(f"edgeseg.gpu_check.engines:{name}", given)
        assert (answer["state"], words in answer["found"]) == (state, True), answer


@pytest.mark.parametrize(
    ("seconds", "size", "passed"), [((3, 1), 9, True), ((3, 3.5), 9, False), ((3, 1), 0, False)]
)
def test_an_engine_opens_sooner_with_its_kernels(monkeypatch, tmp_path, seconds, size, passed):
    engine = SimpleNamespace(engine=SimpleNamespace(path=tmp_path / "an.engine"))
    kernels, clock = tmp_path / "an.kernels", iter((0, seconds[0], 10, 10 + seconds[1]))
    kernels.write_bytes(b"of another time")

    @contextmanager
    def open_model(path):
        kernels.write_bytes(bytes(size))
        yield SimpleNamespace(run=lambda: None)

    monkeypatch.setattr(engines, "built", lambda *_: engine)
    monkeypatch.setattr(loading, "open_model", open_model)
    monkeypatch.setattr(engines.time, "perf_counter", lambda: next(clock))
    assert engines.openings(runtime="tensorrt-rtx").passed is passed


@pytest.mark.parametrize(("each", "passed"), [(1 << 20, True), (100 << 20, False)])
def test_contexts_share_their_activations(monkeypatch, each, passed):
    free = [10 << 30]

    @contextmanager
    def opened(path, card):
        def second():
            free[0] -= each
            return SimpleNamespace(run=lambda: None)

        yield SimpleNamespace(shared_bytes=100 << 20, second=second)

    monkeypatch.setattr(engines, "built", lambda *_: SimpleNamespace())
    monkeypatch.setattr(engines, "_opened", lambda found: ("an.engine", None))
    monkeypatch.setattr(engines.TrtBackend, "open", opened)
    monkeypatch.setattr(kernels, "Kernels", lambda: SimpleNamespace(free_bytes=lambda: free[0]))
    found = engines.contexts(runtime="tensorrt")
    assert found.passed is passed and found.figures["more_bytes"] == 3 * each
    assert "the activations 100 MiB" in found.found


@pytest.mark.parametrize(("again", "passed"), [(9.0, True), (60.0, True), (90.0, False)])
def test_a_second_build_takes_no_longer(monkeypatch, tmp_path, again, passed):
    def made(seconds):
        return SimpleNamespace(card=SimpleNamespace(seconds=seconds))

    first = SimpleNamespace(engine=made(60.0), graph="a.onnx", folder=tmp_path)
    monkeypatch.setattr(engines, "built", lambda *_: first)
    monkeypatch.setattr(engines, "build_engine", lambda graph, config, out: made(again))
    assert engines.rebuilt(runtime="tensorrt").passed is passed


def test_what_a_runtime_has_not_is_skipped(monkeypatch):
    with pytest.raises(Skipped, match="tensorrt-rtx times no kernels"):
        engines.rebuilt(runtime="tensorrt-rtx")
    with pytest.raises(Skipped, match="tensorrt compiles no kernels"):
        engines.openings(runtime="tensorrt")
    with pytest.raises(Skipped, match="tensorrt-rtx has no lean runtime"):
        engines.lean(runtime="tensorrt-rtx")
    monkeypatch.setattr(engines, "find_spec", lambda module: None)
    monkeypatch.setattr(engines, "load", lambda runtime: SimpleNamespace(version="10.3.0"))
    with pytest.raises(Skipped, match=r"not installed: pip install tensorrt-lean-cu12==10\.3\.0"):
        engines.lean(runtime="tensorrt")


def test_without_a_runtime_the_reason_is_told(monkeypatch):
    lacks = SimpleNamespace(runtime="tensorrt", runs=False, obstacle="not installed")
    monkeypatch.setattr(engines, "candidates", lambda here: [lacks])
    monkeypatch.setattr(engines, "probe", lambda candidate: candidate)
    with pytest.raises(Skipped, match="tensorrt: not installed"):
        engines.gpu_runtime()


def test_a_camera_s_frames_are_counted(monkeypatch):
    monkeypatch.setattr(cameras, "SLOWEST", 0.0)
    found = cameras.first_camera(address="test://64x48@200", frames=10)
    assert found.passed, found
    assert found.figures["different"] == 10


def test_without_a_camera_the_check_is_skipped(monkeypatch, tmp_path):
    monkeypatch.setattr(cameras, "DEVICES", tmp_path)
    with pytest.raises(Skipped, match="no /dev/video"):
        cameras.first_camera()


@pytest.mark.parametrize(
    ("address", "jetson", "reason"),
    [
        ("csi://0", None, "no Jetson"),
        ("jetson+csi://0", "Orin Nano", "jetson_utils is not installed"),
        ("csi://0", "Orin Nano", "no /dev/video"),
    ],
)
def test_a_camera_of_a_jetson_is_skipped(monkeypatch, tmp_path, address, jetson, reason):
    monkeypatch.setattr(cameras, "DEVICES", tmp_path)
    monkeypatch.setattr(cameras, "find_spec", lambda module: None)
    monkeypatch.setattr(cameras, "this_machine", lambda: SimpleNamespace(jetson=jetson))
    with pytest.raises(Skipped, match=reason):
        cameras.of_jetson(address=address)
    (tmp_path / "video0").touch()
    if reason.startswith("no /dev"):
        monkeypatch.setattr(cameras, "first_camera", lambda address: address)
        assert cameras.of_jetson(address=address) == address
