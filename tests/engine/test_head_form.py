"""Each target gets the form of the head that suits it, and the log names the other export."""

import dataclasses

import pytest

from edgeseg.config import BuildConfig
from edgeseg.engine import head_form as room
from edgeseg.engine.head_form import exported_form, head_form, tell_form
from edgeseg.machine.facts import this_machine
from edgeseg.runtime.choice import Candidate
from tests.kit.cards import make_card

CPU = dataclasses.replace(this_machine(), gpu=None, compute_capability=None, jetson=None)
RTX = dataclasses.replace(CPU, gpu="RTX 3080", compute_capability="8.6")
ORIN = dataclasses.replace(RTX, gpu="Orin", compute_capability="8.7", jetson="Orin Nano")


@pytest.mark.parametrize(
    ("here", "runtime", "form"),
    [
        (CPU, "openvino", "cpu"),
        (CPU, "tensorrt-rtx", "gpu"),  # for another machine
        (RTX, "tensorrt", "gpu"),
        (RTX, "onnxruntime", "cpu"),
        (ORIN, "tensorrt", "cpu"),
    ],
)
def test_the_form_of_each_target(here, runtime, form):
    assert head_form(runtime, here) == form


@pytest.mark.parametrize(
    ("settings", "form"),
    [
        ({"runtime": "tensorrt-rtx"}, "gpu"),
        ({}, "gpu"),  # of the best runtime
        ({"runtime": "openvino"}, "cpu"),
        ({"precision": "int8"}, None),  # its calibration belongs to one graph
        ({"via": "torch-tensorrt"}, None),
    ],
)
def test_the_form_that_a_build_exports(monkeypatch, settings, form):
    best = Candidate("tensorrt", "tensorrt", "tensorrt", "10.3.0")
    monkeypatch.setattr(room, "this_machine", lambda device: RTX)
    monkeypatch.setattr(room, "candidates", lambda here: (best,))
    assert exported_form(BuildConfig(**settings)) == form


@pytest.mark.parametrize(
    ("form", "here", "runtime", "precision", "words"),
    [
        ("cpu", RTX, "tensorrt", "fp16", ("for a discrete GPU", "--optimize-for gpu")),
        ("cpu", RTX, "tensorrt", "int8", ("--optimize-for gpu, then calibrate again",)),
        (
            "gpu",
            ORIN,
            "tensorrt",
            "fp16",
            ("for a Jetson", "edgeseg export red --frame-size ", "--optimize-for cpu"),
        ),
        ("gpu", CPU, "openvino", "fp16", ("more MACs than the form for a CPU",)),
        ("gpu", RTX, "tensorrt", "fp16", ()),
        ("any", RTX, "tensorrt", "fp16", ()),
    ],
)
def test_a_graph_in_the_form_for_another_target(said, form, here, runtime, precision, words):
    card = make_card(name="red", optimized_for=form)
    tell_form(card, runtime, BuildConfig(precision=precision), here)
    assert len(said) == bool(words)
    assert all(word in said[0] for word in words)


def test_the_other_form_is_exported_for_the_same_frames(said):
    card = make_card(640, 480, batch=2, frame_format="rgb", name="red", optimized_for="cpu")
    tell_form(card, "tensorrt", BuildConfig(), RTX)
    command = "edgeseg export red --frame-size WxH --format rgb --batch 2 --optimize-for gpu"
    height, width = card.frame_size
    assert said[0].endswith(command.replace("WxH", f"{width}x{height}"))
