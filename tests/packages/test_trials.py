"""A call tells what an import does not: a package that computes, and one that does not."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from edgeseg.packages import trials
from edgeseg.packages.trials import TorchTrial, try_gstreamer, try_opencv, try_pyav, try_runtime


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_runtime_that_works(runtime):
    assert try_runtime(runtime) == ""


@pytest.mark.parametrize(
    ("session", "words"),
    [
        (lambda given: [given["x"] * 3], "computes [ 1.5 -3.   6.   9. ] of"),
        (lambda given: [np.full(4, np.nan)], "computes [nan nan nan nan] of"),
        (lambda given: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_runtime_that_computes_something_else(monkeypatch, session, words):
    opened = SimpleNamespace(run=lambda outputs, given: session(given))
    broken = SimpleNamespace(InferenceSession=lambda graph, providers: opened)
    monkeypatch.setattr(trials, "require", lambda module, extra: broken)
    assert try_runtime("onnxruntime").startswith(words)


def test_an_opencv_that_works():
    assert try_opencv(cv2) == ""


def test_an_opencv_that_does_not():
    def decoded(data, how):
        return None

    names = ("resize", "imencode", "INTER_AREA", "IMREAD_COLOR")
    broken = SimpleNamespace(**{name: getattr(cv2, name) for name in names}, imdecode=decoded)
    assert try_opencv(broken) == "does not read back its own .png"
    broken.resize = lambda image, size, interpolation: np.ones((24, 32, 3), np.uint8)
    assert try_opencv(broken) == "resizes a picture wrongly"


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (np.zeros((48, 64, 3), np.uint8), ""),
        (np.zeros((48, 64), np.uint8), "a test pipeline delivers (48, 64)"),
        (None, "a test pipeline delivers no frame: plugins are missing"),
    ],
)
def test_a_pipeline_is_read(frame, words):
    capture = SimpleNamespace(
        isOpened=lambda: True, read=lambda: (frame is not None, frame), release=lambda: None
    )
    asked = []

    def opened(pipeline, backend):
        asked.append(pipeline)
        return capture

    opencv = SimpleNamespace(CAP_GSTREAMER=cv2.CAP_GSTREAMER, VideoCapture=opened)
    assert try_gstreamer(opencv) == words
    assert asked == [trials.TEST_PIPELINE]


def test_a_pyav_that_works():
    pytest.importorskip("av")
    assert try_pyav() == ""


@pytest.mark.parametrize(
    ("code", "patience", "expected"),
    [
        ("print(3888.0)", 10, ""),
        ("print(3887.0)", 10, "computes a gradient of 3887.0"),
        ("import nothing_of_this_name", 10, "ModuleNotFoundError: No module named"),
        ("import os; os.kill(os.getpid(), 9)", 10, "its process ended with code -9"),
        ("import time; time.sleep(60)", 0.1, None),
    ],
)
def test_a_pytorch_in_a_process_of_its_own(monkeypatch, code, patience, expected):
    monkeypatch.setattr(trials, "TRAIN", code)
    found = TorchTrial().result(patience)
    assert found is None if expected is None else found.startswith(expected)
    assert bool(found) == bool(expected)


def test_the_gradient_does_not_depend_on_the_weights(capsys):
    pytest.importorskip("torch")
    exec(trials.TRAIN, {})
    assert capsys.readouterr().out.strip() == trials.GRADIENT
