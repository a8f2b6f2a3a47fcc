"""Engines are checked against their card and this machine before a runtime opens them."""

import dataclasses
import json
import shlex

import pytest

from edgeseg.cards import write_card
from edgeseg.errors import EngineMismatch, MissingExtra, ModelError
from edgeseg.machine.facts import this_machine
from edgeseg.runtime import engine_files as engines
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.engine_files import check_engine
from edgeseg.runtime.engine_pair import engine_path
from tests.kit.cards import make_engine_card
from tests.kit.errors import fails
from tests.kit.names import LEADING_ELSEWHERE

PLAN = b"a plan of TensorRT-RTX" * 10
BUILD = "edgeseg build-engine screws --precision fp16 --runtime tensorrt-rtx"
NO_GPU = {"gpu": None, "compute_capability": None, "gpu_note": "no driver"}


@pytest.fixture
def card(graph_card):
    return make_engine_card(
        graph_card,
        file="screws-fp16-rtx-sm86.engine",
        data=PLAN,
        runtime="tensorrt-rtx",
        runtime_version="1.7.1.116",
        target="sm86",
    )


@pytest.fixture
def place(tmp_path):
    """Write an engine and its card; return the engine's path."""

    def write(card, data=PLAN):
        path = tmp_path / "screws-fp16-rtx-sm86.engine"
        path.write_bytes(data)
        write_card(path.with_suffix(".json"), card)
        return path

    return write


@pytest.fixture
def rtx_3080(monkeypatch):
    """A machine with a GPU of compute capability 8.6 and TensorRT-RTX 1.7.1.116."""
    flavor = trt.FLAVORS["tensorrt-rtx"]
    fake = type("module", (), {"__version__": "1.7.1.116"})
    monkeypatch.setattr(engines.trt, "load", lambda runtime, **lean: trt.Api(flavor, fake))
    return dataclasses.replace(this_machine(), gpu="RTX 3080", compute_capability="8.6")


def test_a_sound_engine_on_its_machine(card, place, rtx_3080):
    path = place(card)
    assert check_engine(path, rtx_3080) == card
    assert check_engine(path.with_suffix(".json"), rtx_3080) == card
    assert engine_path(path.with_suffix(".json")) == path


def test_an_engine_on_a_machine_with_the_lean_runtime(card, place, rtx_3080, monkeypatch):
    fake = type("module", (), {"__version__": "10.16.1.11"})
    api = trt.Api(trt.FLAVORS["tensorrt"], fake, lean=True)
    monkeypatch.setattr(engines.trt, "load", lambda runtime, **lean: api)
    built = {"runtime": "tensorrt", "runtime_version": "10.16.1.11"}
    lean = dataclasses.replace(card, **built, lean=True)
    assert check_engine(place(lean), rtx_3080) == lean
    with fails(EngineMismatch, "engine/lean-runtime") as caught:
        check_engine(place(dataclasses.replace(card, **built)), rtx_3080)
    build = "edgeseg build-engine screws --precision fp16 --runtime tensorrt --lean"
    assert caught.value.remedy == f"{build} (on a machine with TensorRT)"


@pytest.mark.parametrize(
    ("version", "driver", "package"),
    [
        ("10.3.0", "13.0", "tensorrt-lean-cu12==10.3.0"),  # has no wheels for CUDA 13
        ("11.4.0.106", "13.0", "tensorrt-lean-cu13==11.4.0.106"),
        ("11.4.0.106", "12.4", "tensorrt-lean-cu12==11.4.0.106"),
    ],
)
def test_a_lean_runtime_of_another_version_is_exchanged(
    card, place, rtx_3080, monkeypatch, version, driver, package
):
    fake = type("module", (), {"__version__": "10.16.1.11"})
    monkeypatch.setattr(
        engines.trt,
        "load",
        lambda runtime, **lean: trt.Api(trt.FLAVORS["tensorrt"], fake, lean=True),
    )
    built = dataclasses.replace(card, runtime="tensorrt", runtime_version=version, lean=True)
    here = dataclasses.replace(rtx_3080, cuda=driver)
    with fails(EngineMismatch, "engine/other-version") as caught:
        check_engine(place(built), here)
    assert "the lean runtime of TensorRT 10.16.1.11" in caught.value.problem
    assert caught.value.remedy == f"pip install {package}"
    board = dataclasses.replace(here, jetson="Orin Nano", l4t="36.4.3")
    with fails(EngineMismatch, "engine/other-version") as caught:
        check_engine(place(built), board)
    assert caught.value.remedy.endswith("--lean (on a board with TensorRT 10.16.1.11)")


def test_an_engine_for_several_gpus(card, place, rtx_3080):
    several = dataclasses.replace(card, target="sm86-sm120")
    assert check_engine(place(several), rtx_3080) == several
    rtx_4090 = dataclasses.replace(rtx_3080, gpu="RTX 4090", compute_capability="8.9")
    with fails(EngineMismatch, "engine/other-gpu"):
        check_engine(place(several), rtx_4090)


@pytest.mark.parametrize("data", [PLAN[:-1], PLAN.replace(b"RTX", b"GTX", 1), b""])
def test_a_truncated_or_edited_file_is_refused(card, place, rtx_3080, data):
    with fails(EngineMismatch, "engine/changed") as caught:
        check_engine(place(card, data), rtx_3080)
    assert "tensorrt-rtx 1.7.1.116 on sm86" in caught.value.problem
    assert caught.value.remedy == BUILD


def test_the_command_that_rebuilds_names_the_run_as_one_word(card):
    odd = dataclasses.replace(card, graph=dataclasses.replace(card.graph, name="it's $(x) b"))
    assert shlex.split(engines.rebuild(odd, this_machine()))[:3] == [
        "edgeseg",
        "build-engine",
        "it's $(x) b",
    ]


LEVEL, GATE = "--optimization-level 5 --workspace-mib 4096", "--max-drop 0.02"


@pytest.mark.parametrize(
    ("changes", "capability", "flags"),
    [
        (
            {
                "settings": {
                    "max_drop": 0.02,
                    "optimization_level": 5,
                    "workspace_mib": 4096,
                    "ranges": "my files/screws.json",
                },
                "precision": "int8",
            },
            "8.6",
            f"int8 --runtime tensorrt-rtx {LEVEL} --ranges 'my files/screws.json' {GATE}",
        ),
        (
            {"target": "sm86-sm89"},
            "8.6",
            "fp16 --runtime tensorrt-rtx --compute-capability 8.6,8.9",
        ),
        (
            {"target": "sm86-sm89"},
            "12.0",
            "fp16 --runtime tensorrt-rtx --compute-capability 8.6,8.9,12.0",
        ),
        (
            {"settings": {"compute_capability": "8.6"}},
            "8.9",
            "fp16 --runtime tensorrt-rtx --compute-capability 8.6,8.9",
        ),
        (
            {"runtime": "tensorrt", "lean": True, "settings": {"optimization_level": 5}},
            "8.6",
            "fp16 --runtime tensorrt --lean --optimization-level 5",
        ),
        (
            {"settings": {"optimization_level": 5, "max_drop": 0.02}},
            "8.7",  # which TensorRT-RTX does not support
            f"fp16 {GATE}",
        ),
        ({"target": "cpu", "runtime": "openvino"}, None, "fp16 --runtime openvino"),
        ({"settings": {"invented": "$(x)"}}, "8.6", "fp16 --runtime tensorrt-rtx"),
    ],
)
def test_a_rebuild_repeats_the_settings_of_the_build(card, changes, capability, flags):
    here = dataclasses.replace(this_machine(), gpu="GPU", compute_capability=capability)
    found = engines.rebuild(dataclasses.replace(card, **changes), here)
    assert found == f"edgeseg build-engine screws --precision {flags}"


def test_a_rebuild_names_the_graph_that_was_copied_without_its_run(card, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "screws.onnx").touch()
    assert engines.rebuild(card, this_machine()).split()[2] == "screws.onnx"
    (tmp_path / "runs/screws").mkdir(parents=True)
    (tmp_path / "runs/screws/card.json").touch()
    assert engines.rebuild(card, this_machine()).split()[2] == "screws"


def test_a_missing_file_is_refused(card, place, rtx_3080):
    path = place(card)
    path.unlink()
    with fails(EngineMismatch, "engine/missing"):
        check_engine(path.with_suffix(".json"), rtx_3080)


@pytest.mark.parametrize(
    ("here", "version", "code", "words", "remedy"),
    [
        (
            {"gpu": "Orin", "compute_capability": "8.7"},
            "1.7.1.116",
            "other-gpu",
            "Orin, sm87",
            "edgeseg build-engine screws --precision fp16",
        ),
        (
            NO_GPU,
            "1.7.1.116",
            "no-gpu",
            "no driver",
            "edgeseg build-engine screws --precision fp16 --runtime openvino",
        ),
        (
            {"device": 1, "gpu": "RTX 4090", "compute_capability": "8.9"},
            "1.7.1.116",
            "other-gpu",
            "the GPU is RTX 4090, sm89",
            BUILD.replace(" --runtime", " --device 1 --runtime"),
        ),
        ({}, "1.6.0.80", "other-version", "has tensorrt-rtx 1.7.1.116", BUILD),
    ],
)
def test_another_machine_is_refused(card, place, rtx_3080, here, version, code, words, remedy):
    path = place(dataclasses.replace(card, runtime_version=version))
    with fails(EngineMismatch, f"engine/{code}") as caught:
        check_engine(path, dataclasses.replace(rtx_3080, **here))
    assert f"built for tensorrt-rtx {version} on sm86" in caught.value.problem
    assert words in caught.value.problem
    assert caught.value.remedy == remedy


def test_a_runtime_that_is_not_installed(card, place, rtx_3080, monkeypatch):
    def absent(runtime, **lean):
        raise MissingExtra("not installed", remedy="install it")

    monkeypatch.setattr(engines.trt, "load", absent)
    with pytest.raises(MissingExtra, match="install it"):
        check_engine(place(card), rtx_3080)
    built = {"runtime": "tensorrt", "runtime_version": "10.16.1.11", "lean": True}
    lean, driver_12 = dataclasses.replace(card, **built), dataclasses.replace(rtx_3080, cuda="12.4")
    with pytest.raises(MissingExtra, match=r"pip install tensorrt-lean-cu12==10\.16\.1\.11"):
        check_engine(place(lean), driver_12)


def test_a_typed_graph_runs_on_any_machine_and_version(card, place):
    portable = dataclasses.replace(card, target="cpu", runtime="openvino", runtime_version="2019.1")
    assert check_engine(place(portable)) == portable


def test_an_engine_without_a_card(tmp_path):
    path = tmp_path / "screws.engine"
    path.write_bytes(PLAN)
    with fails(ModelError, "model/no-card"):
        check_engine(path)


@pytest.mark.parametrize("name", LEADING_ELSEWHERE)
def test_a_card_that_points_out_of_its_folder(card, place, name):
    path = place(card).with_suffix(".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"file": name}))
    with fails(ModelError, "model/invalid-card") as caught:
        engine_path(path)
    assert caught.value.problem.isprintable() and "plain name" in caught.value.problem
