"""Settings refuse nonsense at birth, from a flag and from a file, with what to type."""

import dataclasses
from pathlib import Path

import pytest

from edgeseg.config import (
    BenchConfig,
    BuildConfig,
    ExportConfig,
    StreamConfig,
    TrainConfig,
    VerifyConfig,
)
from edgeseg.errors import ConfigError
from edgeseg.settings import make, parse_duration, parse_size


def toml(tmp_path, text):
    path = tmp_path / "line7.toml"
    path.write_text(text)
    return path


def test_every_field_is_documented_and_frozen():
    for kind in (TrainConfig, ExportConfig, BuildConfig, VerifyConfig, StreamConfig, BenchConfig):
        for field in dataclasses.fields(kind):
            assert field.metadata["help"], f"{kind.__name__}.{field.name}"
        with pytest.raises(dataclasses.FrozenInstanceError):
            kind().anything = 1


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
    (TrainConfig, "zzz = 1", "sets 'zzz', which is no setting", "use one of: teacher, "),
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


REFUSED_VALUES = [
    (TrainConfig, {"image_size": 250}, "250; a multiple of 32", "--image-size 256"),
    (TrainConfig, {"image_size": 0}, "0; a multiple of 32", "--image-size 64"),
    (TrainConfig, {"batch": 1}, "batch is 1; 2 to 4096", "--batch 2"),
    (TrainConfig, {"head_steps": -1}, "head_steps is -1; 0 to", "--head-steps 0"),
    (TrainConfig, {"student_rate": 0.0}, "student_rate is 0.0", "--student-rate 1e-09"),
    (TrainConfig, {"top": 5000}, "top is 5000; 1 to 3840", "--top 3840"),
    (TrainConfig, {"image_size": 32, "top": 2000}, "1 to 1024", "--top 1024"),
    (TrainConfig, {"opacity_max": 1.5}, "0.0 to 1.0 was expected", "--opacity-max 1.0"),
    (TrainConfig, {"opacity_min": 0.9, "opacity_max": 0.5}, "0.0 to 0.5", "--opacity-min 0.5"),
    (TrainConfig, {"lighting": float("nan")}, "lighting is nan", "--lighting"),
    (TrainConfig, {"holdout": 1.0}, "holdout is 1.0; 0.0 to 0.9", "--holdout 0.9"),
    (TrainConfig, {"gamma": -1.0}, "gamma is -1.0", "--gamma 0.0"),
    (TrainConfig, {"momentum": 9.0}, "momentum is 9.0", "--momentum 1.0"),
    (TrainConfig, {"rotation": "sideways"}, "one of none, slight, full", "--rotation "),
    (TrainConfig, {"texture_color": "grey"}, "'grey'; one of color, gray", "--texture-color gray"),
    (ExportConfig, {"batch": 0}, "batch is 0; 1 to 256", "--batch 1"),
    (ExportConfig, {"format": "rbg"}, "one of bgr, rgb, gray", "--format "),
    (ExportConfig, {"frame_size": "640"}, "--frame-size is '640'", "--frame-size 640x480"),
    (ExportConfig, {"tolerance": -1e-4}, "tolerance is -0.0001", "--tolerance 0.0"),
    (BuildConfig, {"precision": "f16"}, "one of fp32, fp16", "--precision fp16"),
    (BuildConfig, {"runtime": "trt"}, "one of tensorrt, tensorrt-rtx", "--runtime "),
    (BuildConfig, {"workspace_mib": 0}, "workspace_mib is 0", "--workspace-mib 1"),
    (StreamConfig, {"camera": "0", "source": "a.mp4"}, "one of them was", "--source a.mp4"),
    (StreamConfig, {"frames": 0}, "frames is 0; 1 to", "--frames 1"),
    (StreamConfig, {"width": 640}, "width is 640 and height is None", "--width 1280 --height"),
    (StreamConfig, {"width": 1, "height": 9}, "width is 1; 16 to", "--width 16"),
    (StreamConfig, {"fps": 0.0}, "fps is 0.0; 0.1 to", "--fps 0.1"),
    (StreamConfig, {"format": "mjpg"}, "one of mjpeg, yuyv", "--format mjpeg"),
    (BenchConfig, {"runs": 0}, "runs is 0; 1 to", "--runs 1"),
    (BenchConfig, {"threads": 0}, "threads is 0; 1 to 4096", "--threads 1"),
    (BenchConfig, {"fps": 0.0}, "fps is 0.0; 0.001 to", "--fps 0.001"),
    (BenchConfig, {"fps": 30.0, "interval": "1s"}, "one of them was", "--interval 1s"),
    (BenchConfig, {"interval": "soon"}, "--interval is 'soon'; a time", "--interval 10s"),
    (BenchConfig, {"keep_warm": True}, "without a pace", "--keep-warm --interval 10s"),
]


@pytest.mark.parametrize(("kind", "values", "problem", "remedy"), REFUSED_VALUES)
def test_a_value_is_refused_with_the_flag_to_type(kind, values, problem, remedy):
    with pytest.raises(ConfigError) as caught:
        kind(**values)
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def test_a_refused_address_is_shown_without_its_password():
    with pytest.raises(ConfigError) as caught:
        StreamConfig(camera="rtsp://u:secret@host/1", source="http://u:secret@host/2")
    assert "rtsp://host/1 and source is http://host/2" in caught.value.problem
    assert "secret" not in str(caught.value)


def test_sizes_are_read_as_width_by_height():
    assert parse_size("640x480", "--frame-size") == (480, 640)
    assert ExportConfig(frame_size="1920X1080").size() == (1080, 1920)
    assert ExportConfig().size() is None


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


def test_a_benchmark_has_one_pace_or_none():
    assert BenchConfig().period() is None
    assert BenchConfig(fps=25.0).period() == 0.04
    assert BenchConfig(interval="500ms", keep_warm=True).period() == 0.5
