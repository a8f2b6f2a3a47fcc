"""The timing cache with a recorder of TensorRT; the progress of a real build by TensorRT-RTX."""

import dataclasses

import pytest

from edgeseg.config import BuildConfig
from edgeseg.engine import builder_options
from edgeseg.engine.builder_options import DIGEST, TimingCache
from edgeseg.errors import BuildError
from edgeseg.machine.facts import this_machine
from edgeseg.runtime import tensorrt as trt
from tests.engine.test_tensorrt import HALF, small_model
from tests.kit.errors import fails
from tests.kit.plans import plan_of


@pytest.fixture
def orin():
    return dataclasses.replace(this_machine(), gpu="Orin (nvgpu)", compute_capability="8.7")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "edgeseg" / "tensorrt"


def build(install, here, **settings):
    """Return the options of one build by TensorRT 10.3."""
    recorder = install("10.3.0")
    plan_of("tensorrt", small_model(), dataclasses.replace(HALF, **settings), here)
    return recorder.builds[-1][1]


def test_a_build_uses_the_times_of_earlier_ones(install, orin, folder):
    assert build(install, orin).timing_cache.data == b""
    assert build(install, orin).timing_cache.data == b" timed"
    assert build(install, orin).timing_cache.data == b" timed timed"
    assert [path.name for path in folder.iterdir()] == ["10.3.0-sm87-Orin-nvgpu-.timing"]
    other = dataclasses.replace(orin, gpu="AGX Orin")
    assert build(install, other).timing_cache.data == b""


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 100])
def test_a_damaged_timing_cache_is_not_given_to_tensorrt(install, orin, folder, damage):
    build(install, orin)
    (path,) = folder.iterdir()
    path.write_bytes(damage)
    assert build(install, orin).timing_cache.data == b""
    assert path.read_bytes()[DIGEST:] == b" timed"


def test_a_timing_cache_that_tensorrt_refuses_is_replaced(install, orin, folder):
    build(install, orin)
    recorder = install("10.3.0")
    cache = TimingCache(trt.load("tensorrt"), "sm87", orin)
    options = recorder.Builder(None).create_builder_config()
    cache._read = lambda path: b"another device"
    cache.give(options)
    assert options.timing_cache.data == b""


def test_a_timing_cache_that_cannot_be_written_is_a_warning(install, orin, folder, said):
    folder.parent.mkdir()
    folder.touch()
    build(install, orin)
    assert any(line.startswith("the timing cache is not kept: ") for line in said)


def test_the_optimization_level_is_passed_on(install, orin, folder):
    assert build(install, orin, optimization_level=5).builder_optimization_level == 5
    assert not hasattr(build(install, orin), "builder_optimization_level")


def test_an_engine_for_the_lean_runtime(install, orin, folder):
    lean = {"VERSION_COMPATIBLE", "EXCLUDE_LEAN_RUNTIME"}
    assert build(install, orin, lean=True).flags == {"TF32"} | lean
    assert build(install, orin).flags == {"TF32"}


def test_the_lean_runtime_builds_nothing(install, orin, monkeypatch):
    recorder = install("10.3.0")
    api = trt.Api(trt.FLAVORS["tensorrt"], recorder, lean=True)
    monkeypatch.setattr(trt, "load", lambda runtime: api)
    with fails(BuildError, "build/lean-runtime"):
        plan_of("tensorrt", small_model(), HALF, orin)


def test_the_progress_of_a_build(said, monkeypatch):
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setattr(builder_options, "LOG_EVERY", 0)
    here = dataclasses.replace(this_machine(), gpu=None, compute_capability=None)
    config = BuildConfig(precision="fp16", runtime="tensorrt-rtx", optimization_level=5)
    assert plan_of("tensorrt-rtx", small_model(), config, here).data
    assert any(line.startswith("Building engine 0/6: Cloning network graph 1/") for line in said)
    assert any(line.startswith("Building engine 4/6: Timing graph nodes ") for line in said)
