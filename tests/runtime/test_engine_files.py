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
    monkeypatch.setattr(engines.trt, "load", lambda runtime: trt.Api(flavor, fake))
    return dataclasses.replace(this_machine(), gpu="RTX 3080", compute_capability="8.6")


def test_a_sound_engine_on_its_machine(card, place, rtx_3080):
    path = place(card)
    assert check_engine(path, rtx_3080) == card
    assert check_engine(path.with_suffix(".json"), rtx_3080) == card
    assert engine_path(path.with_suffix(".json")) == path


def test_an_engine_on_a_machine_with_the_lean_runtime(card, place, rtx_3080, monkeypatch):
    fake = type("module", (), {"__version__": "10.16.1.11"})
    api = trt.Api(trt.FLAVORS["tensorrt"], fake, lean=True)
    monkeypatch.setattr(engines.trt, "load", lambda runtime: api)
    built = {"runtime": "tensorrt", "runtime_version": "10.16.1.11"}
    lean = dataclasses.replace(card, **built, lean=True)
    assert check_engine(place(lean), rtx_3080) == lean
    with fails(EngineMismatch, "engine/lean-runtime"):
        check_engine(place(dataclasses.replace(card, **built)), rtx_3080)


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
            "edgeseg build-engine screws --runtime openvino",
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
    def absent(runtime):
        raise MissingExtra("not installed", remedy="install it")

    monkeypatch.setattr(engines.trt, "load", absent)
    with pytest.raises(MissingExtra):
        check_engine(place(card), rtx_3080)


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
