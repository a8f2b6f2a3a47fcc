"""The support matrix: its answers, and the installed TensorRT-RTX against it."""

import pytest

from edgeseg.errors import ConfigError
from edgeseg.machine.support import (
    GPUS,
    JETPACKS,
    NEWEST,
    RTX,
    Release,
    check,
    gpu_of,
    jetpack_of,
    serves,
)
from edgeseg.runtime import tensorrt as trt
from tests.kit.errors import fails


def tensorrt(version):
    return Release("tensorrt", version)


@pytest.mark.parametrize(
    ("version", "weak", "strong", "opsets", "fp16_scales"),
    [
        ("8.6.1", True, False, (7, 17), "none"),
        ("10.3.0", True, True, (9, 20), "equal"),
        ("10.13.3.9", True, True, (9, 20), "equal"),
        ("10.16.2", True, True, (9, 24), "equal"),
        ("11.1.0", False, True, (9, 24), "any"),
        ("11.4.0.106", False, True, (9, 24), "any"),
    ],
)
def test_what_each_release_does(version, weak, strong, opsets, fp16_scales):
    release = tensorrt(version)
    assert (release.weak, release.strong) == (weak, strong)
    assert (release.opsets, release.fp16_scales) == (opsets, fp16_scales)
    assert release.implicit_batch is (version[0] == "8")
    assert not (release.ahead_of_time or release.rtx or release.newer or release.older)


@pytest.mark.parametrize(
    ("capability", "serve", "refuse"),
    [
        ("7.0", ["8.6.1", "10.3", "10.4.0"], ["10.5.0", "10.13", "11.4"]),
        ("7.5", ["8.6.1", "10.3", "11.4"], []),
        ("8.7", ["8.6.2", "10.3.0", "10.7", "10.16.2", "11.4.1"], ["10.13.3", "11.0", "11.3.0"]),
        ("11.0", ["10.13.3", "10.16.2", "11.4.1"], ["8.6.1", "10.7", "11.1"]),
        ("12.0", ["10.8.0", "10.13", "11.4"], ["8.6.1", "10.7"]),
        ("12.1", ["10.14.1", "11.4"], ["10.13.3"]),
        ("7.2", [], ["8.6.1", "10.3", "11.4"]),
    ],
)
def test_each_gpu_has_its_releases(capability, serve, refuse):
    for version in serve:
        check(tensorrt(version), capability)
    for version in refuse:
        with fails(ConfigError, "config/unsupported-gpu"):
            check(tensorrt(version), capability)


def test_a_v100_is_told_what_to_install():
    with fails(ConfigError, "config/unsupported-gpu") as refused:
        check(tensorrt("10.13.0"), "7.0")
    for fact in ("tensorrt 10.13.0", "7.0 (V100)", "TensorRT 8.6 to 10.4"):
        assert fact in refused.value.problem
    assert refused.value.remedy == 'pip install "tensorrt-cu12==10.4.0"'


def test_a_v100_has_no_int8():
    check(tensorrt("10.4.0"), "7.0", "fp16")
    with fails(ConfigError, "config/unsupported-precision") as e:
        check(tensorrt("10.4.0"), "7.0", "int8")
    assert e.value.remedy == "--precision fp16"
    for gpu in GPUS:
        assert gpu.int8 is (gpu.capability != "7.0")


def test_jetsons_are_told_about_jetpack_and_cards_about_pip():
    with fails(ConfigError, "config/unsupported-gpu") as e:
        check(tensorrt("10.13.3"), "8.7")
    assert "10.3 to 10.7, 10.16 to 10.x, from 11.4" in e.value.problem
    assert "apt-get install -y python3-venv python3-libnvinfer &&" in e.value.remedy
    with fails(ConfigError, "config/unsupported-gpu") as e:
        check(tensorrt("10.3.0"), "12.0")
    assert "from 10.8 or TensorRT-RTX from 1.7" in e.value.problem
    assert e.value.remedy == "pip install --upgrade tensorrt"


def test_an_unknown_gpu_is_left_to_tensorrt():
    assert gpu_of("13.0") is None
    check(tensorrt("11.4"), "13.0", "int8")
    check(tensorrt("11.4"), None)


@pytest.mark.parametrize(
    ("capability", "tensorrt", "rtx"),
    [("7.2", False, False), ("8.6", True, True), ("9.0", True, False), ("9.9", True, True)],
)
def test_whether_any_release_serves_a_gpu(capability, tensorrt, rtx):
    assert (serves("tensorrt", capability), serves("tensorrt-rtx", capability)) == (tensorrt, rtx)
    assert serves("openvino", capability) and serves("tensorrt-rtx", None)


def test_a_newer_release_is_treated_like_the_newest_and_says_so():
    newer, newest = tensorrt("12.1.0"), tensorrt(NEWEST)
    assert newer.newer and newer.note.startswith("tensorrt 12.1.0 is newer than 11.4")
    assert (newest.newer, newest.note) == (False, "")
    for fact in ("weak", "strong", "implicit_batch", "ahead_of_time", "opsets", "gpus"):
        assert getattr(newer, fact) == getattr(newest, fact), fact
    assert Release("tensorrt-rtx", "1.8.0").note.startswith("tensorrt-rtx 1.8.0 is newer than 1.7")
    assert Release("tensorrt-rtx", "1.7.1.116").note == ""


@pytest.mark.parametrize("release", [tensorrt("8.5.2"), Release("tensorrt-rtx", "1.6.0")])
def test_an_older_release_is_refused(release):
    with fails(ConfigError, "config/old-tensorrt"):
        check(release, "8.6")


@pytest.mark.parametrize(
    ("l4t", "name", "tensorrt"),
    [
        ("35.1.0", "5.0.2", "8.4"),
        ("35.4.1", "5.1", "8.5"),
        ("36.3.0", "6.0", "8.6"),
        ("36.4.3", "6.1 and 6.2", "10.3"),
        ("38.4.0", "7.0 and 7.1", "10.13"),
        ("39.0.0", "7.2", "10.16"),
    ],
)
def test_jetpacks(l4t, name, tensorrt):
    pack = jetpack_of(l4t)
    assert (pack.name, pack.tensorrt[0]) == (name, tensorrt)


def test_an_unknown_jetpack_has_no_row():
    assert jetpack_of("41.0.0") is None


def test_every_jetpack_that_edgeseg_runs_on_serves_its_boards():
    for pack in JETPACKS:
        for name in pack.boards:
            (gpu,) = [gpu for gpu in GPUS if gpu.name == name]
            served = [any(s.holds(tensorrt(v)) for s in gpu.spans) for v in pack.tensorrt]
            assert all(served) is (pack.python != "3.8"), pack


# The matrix against the installed TensorRT-RTX.


@pytest.fixture
def rtx():
    pytest.importorskip("tensorrt_rtx")
    return trt.load("tensorrt-rtx")


def test_the_installed_rtx_is_the_one_of_the_matrix(rtx):
    assert rtx.version.startswith(RTX) and not rtx.release.newer
    assert set(rtx.targets) == {gpu.capability for gpu in rtx.release.gpus}
