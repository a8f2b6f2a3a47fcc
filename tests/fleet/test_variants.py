"""Which engines of a registry a machine asks for."""

from types import SimpleNamespace

import pytest

from edgeseg.fleet import variants as module
from edgeseg.fleet.variants import variants_for, variants_of
from edgeseg.machine.facts import this_machine
from edgeseg.runtime.choice import Candidate
from tests.kit.cards import make_engine_card

GPU = SimpleNamespace(compute_capability="8.7")


@pytest.fixture
def found(monkeypatch):
    """The runtimes of a machine, and the versions that they report when they are loaded."""

    def set_up(*candidates, lean=False):
        monkeypatch.setattr(module, "candidates", lambda here: candidates)
        api = SimpleNamespace(version="10.3.0.30", lean=lean)
        monkeypatch.setattr(module.trt, "load", lambda runtime, **rest: api)

    return set_up


def candidate(runtime, obstacle=""):
    return Candidate(runtime, runtime, runtime, "1", obstacle)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ("openvino-cpu-fp16",)),
        (
            {"runtime": "tensorrt", "runtime_version": "10.3.0.30", "target": "sm87"},
            ("tensorrt-10.3.0.30-sm87-fp16",),
        ),
        (
            {"runtime": "tensorrt-rtx", "runtime_version": "1.2.0.5", "target": "sm86-sm89"},
            ("tensorrt-rtx-1.2.0.5-sm86-fp16", "tensorrt-rtx-1.2.0.5-sm89-fp16"),
        ),
        (
            {"runtime": "tensorrt", "runtime_version": "9", "target": "sm87", "lean": True},
            ("tensorrt-9-sm87-fp16-lean",),
        ),
    ],
)
def test_an_engine_is_named_for_every_machine_that_it_fits(changes, names):
    assert variants_of(make_engine_card(**changes)) == names


def test_a_machine_asks_for_what_it_runs_the_best_first(found):
    found(candidate("tensorrt"), candidate("openvino"), candidate("onnxruntime", "not installed"))
    trt = "tensorrt-10.3.0.30-sm87-int8"
    expected = [trt, f"{trt}-lean", "openvino-cpu-int8"]
    assert list(variants_for(GPU, "int8")) == expected
    assert list(variants_for(GPU, "int8", "openvino")) == expected[2:]
    assert list(variants_for(GPU, "int8", "onnxruntime")) == []


def test_the_lean_runtime_runs_lean_engines_alone(found):
    found(candidate("tensorrt"), lean=True)
    assert list(variants_for(GPU, "fp16")) == ["tensorrt-10.3.0.30-sm87-fp16-lean"]


def test_what_this_machine_builds_it_would_ask_for():
    runtimes = [name for name in ("openvino", "onnxruntime")]
    asked = list(variants_for(this_machine(), "fp16"))
    for runtime in runtimes:
        (name,) = variants_of(make_engine_card(runtime=runtime))
        assert name in asked or not any(runtime in each for each in asked)
