"""The switch between TensorRT and TensorRT-RTX: features by name, whatever their numbers."""

import sys
from types import SimpleNamespace

import pytest

from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.tensorrt_engine import CAPTURES_ITSELF
from tests.kit.old_tensorrt import library


@pytest.mark.parametrize(
    ("version", "weak", "strong", "strong_flags", "weak_flags"),
    [
        ("8.6.1", True, False, None, 0b01),
        ("10.3.0", True, True, 0b10, 0),
        ("11.1.0", False, True, 0, None),
    ],
)
def test_what_each_version_can_do(version, weak, strong, strong_flags, weak_flags):
    api = trt.Api(trt.FLAVORS["tensorrt"], library(version))
    release = api.release
    assert (release.weak, release.strong, release.ahead_of_time) == (weak, strong, False)
    assert api.targets == ()
    if strong:
        assert api.network_flags(weak=False) == strong_flags
    if weak:
        assert api.network_flags(weak=True) == weak_flags


def test_the_installed_rtx():
    pytest.importorskip("tensorrt_rtx")
    api = trt.load("tensorrt-rtx")
    release = api.release
    assert (release.weak, release.strong, release.ahead_of_time) == (False, True, True)
    assert api.network_flags(weak=False) == 0
    assert {"7.5", "8.6", "8.9", "12.0"} <= set(api.targets)
    assert api.version.count(".") == 3


def test_the_lean_runtime_where_there_is_no_other(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt_lean", SimpleNamespace(__version__="10.16.1.11"))
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.setattr(trt, "find_spec", lambda module: None)
    api = trt.load("tensorrt")
    assert (api.lean, str(api.release)) == (True, "tensorrt 10.16.1.11")
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="10.16.1.11"))
    assert not trt.load("tensorrt").lean
    assert trt.load("tensorrt", lean=True).lean, "of an engine for it"
    monkeypatch.delitem(sys.modules, "tensorrt_lean")
    assert not trt.load("tensorrt", lean=True).lean


@pytest.mark.parametrize(("capability", "target"), [("8.6", "sm86"), ("12.0", "sm120")])
def test_targets(capability, target):
    assert trt.target_of(capability) == target


def test_the_installed_rtx_says_why_it_cannot_read_an_engine():
    pytest.importorskip("tensorrt_rtx")
    library, said = trt.load("tensorrt-rtx").trt, []
    runtime = library.Runtime(trt.logger(library, lambda *message: said.append(message)))
    assert runtime.deserialize_cuda_engine(b"nothing" * 20) is None
    errors = [text for severity, text in said if severity == "ERROR"]
    assert "incompatible serialization version" in errors[0]
    assert hasattr(library, CAPTURES_ITSELF)
