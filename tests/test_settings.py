"""Files, sizes and times become settings, or are refused with what to write instead."""

from pathlib import Path

import pytest

from edgeseg.config import BuildConfig, ExportConfig, TrainConfig
from edgeseg.errors import ConfigError
from edgeseg.settings import make, parse_duration, parse_size


def toml(tmp_path, text):
    path = tmp_path / "line7.toml"
    path.write_text(text)
    return path


def test_file_beats_default_and_flag_beats_file(tmp_path):
    path = toml(tmp_path, "image_size = 128\nbatch = 8\n")
    flags = {"batch": 16, "seed": None}
    config = make(TrainConfig, flags, path)
    assert (config.image_size, config.batch, config.seed) == (128, 16, 0)


def test_toml_values_become_the_fields_types(tmp_path):
    text = 'gamma = 4\nteacher_weights = "w.pth"\ntextures = "/dtd"\nrotation = "full"\n'
    config = make(TrainConfig, {}, toml(tmp_path, text))
    assert (config.gamma, type(config.gamma)) == (4.0, float)
    assert config.teacher_weights == tmp_path / "w.pth"  # relative to the file that names it
    assert config.textures == Path("/dtd")
    assert config.rotation == "full"


def test_optional_text_in_toml(tmp_path):
    text = 'runtime = "openvino"\ncompute_capability = "8.6"\n'
    config = make(BuildConfig, {}, toml(tmp_path, text))
    assert (config.runtime, config.compute_capability) == ("openvino", "8.6")


REFUSED_FILES = [
    (TrainConfig, "imge_size = 128", "sets 'imge_size', which is no setting", "image_size"),
    (TrainConfig, "zzz = 1", "sets 'zzz', which is no setting", "use one of: model, "),
    (TrainConfig, "[q]\nbatch = 8", "sets 'q', which is no setting", "use one of"),
    (TrainConfig, 'batch = "many"', "'many'; a whole number was expected", "batch = 32"),
    (TrainConfig, "batch = true", "True; a whole number was expected", "batch = 32"),
    (TrainConfig, "batch = 8.5", "8.5; a whole number was expected", "batch = 32"),
    (TrainConfig, 'gamma = "4"', "'4'; a number was expected", "gamma = 4.0"),
    (TrainConfig, "textures = 5", "5; text was expected", 'textures = "5"'),
    (TrainConfig, 'rotation = "ful"', "rotation is 'ful'; one of none, slight, full", "full"),
    (BuildConfig, "compute_capability = 8.6", "8.6; text", 'compute_capability = "8.6"'),
    (BuildConfig, 'runtime = "tensorrt_rtx"', "one of tensorrt, tensorrt-rtx", "tensorrt-rtx"),
    (ExportConfig, "frame_size = 640", "640; text was expected", 'frame_size = "640"'),
    (TrainConfig, "batch = ", "cannot be read", "correct the TOML file"),
]


@pytest.mark.parametrize(("kind", "text", "problem", "remedy"), REFUSED_FILES)
def test_a_file_is_refused_with_a_remedy(tmp_path, kind, text, problem, remedy):
    with pytest.raises(ConfigError) as caught:
        make(kind, {}, toml(tmp_path, text))
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read"):
        make(TrainConfig, {}, tmp_path / "none.toml")


def test_sizes_are_read_as_width_by_height():
    assert parse_size("640x480", "--frame-size") == (480, 640)


@pytest.mark.parametrize("text", ["", "x", "640x", "x480", "0x480", "640x-1", "640 x 480", "axb"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        parse_size(text, "--window")
    assert caught.value.problem == f"--window is '{text}'; WIDTHxHEIGHT in pixels was expected."
    assert caught.value.remedy == "--window 640x480"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10", 10), ("10s", 10), ("500ms", 0.5), ("1.5 S", 1.5), ("2min", 120), ("1ms", 0.001)],
)
def test_durations_are_read_with_their_unit(text, seconds):
    assert parse_duration(text, "--interval") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "-1s", "0", "0.5ms", "10 m", "1e3", "1441min", "١s"])
def test_a_duration_that_is_none_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        parse_duration(text, "--interval")
    expected = f"--interval is '{text}'; a time from 1ms to 1440min was expected."
    assert (caught.value.problem, caught.value.remedy) == (expected, "--interval 10s")
