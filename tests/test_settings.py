"""Files, sizes and durations become settings, or an error with a remedy."""

import dataclasses
import math
from pathlib import Path

import pytest

from edgeseg import config as configurations
from edgeseg.config import BuildConfig, ExportConfig, StreamConfig
from edgeseg.errors import ConfigError
from edgeseg.recipes import TrainConfig
from edgeseg.settings import Settings, make, parse_duration, parse_pace, parse_size
from tests.kit.errors import fails


def toml(tmp_path, text):
    path = tmp_path / "line7.toml"
    path.write_text(text)
    return path


def test_toml_values_become_the_fields_types(tmp_path):
    text = 'focal_gamma = 4\nteacher_weights = "w.pth"\ntextures = "/dtd"\nrotation = "full"\n'
    config = make(TrainConfig, {}, toml(tmp_path, text))
    assert (config.focal_gamma, type(config.focal_gamma)) == (4.0, float)
    assert config.teacher_weights == tmp_path / "w.pth"  # relative to the file that names it
    assert config.textures == Path("/dtd")
    assert config.rotation == "full"


def test_optional_text_in_toml(tmp_path):
    text = 'runtime = "openvino"\ncompute_capability = "8.6"\n'
    config = make(BuildConfig, {}, toml(tmp_path, text))
    assert (config.runtime, config.compute_capability) == ("openvino", "8.6")


UNKNOWN, TYPE, CHOICE = "config/unknown-setting", "config/wrong-type", "config/not-a-choice"
TYPE_OR_RANGE = "config/wrong-type"
INVALID_FILES = [
    (TrainConfig, "imge_size = 128", UNKNOWN, "rename it to image_size"),
    (TrainConfig, "zzz = 1", UNKNOWN, "model, profile, minutes, "),
    (TrainConfig, "[q]\nbatch = 8", UNKNOWN, "use one of"),
    (TrainConfig, 'batch = "many"', TYPE, "batch = "),
    (TrainConfig, "batch = true", TYPE, "batch = "),
    (TrainConfig, "batch = 8.5", TYPE, "batch = "),
    (TrainConfig, 'focal_gamma = "4"', TYPE, "focal_gamma = 4.0"),
    (TrainConfig, "textures = 5", TYPE, 'textures = "5"'),
    (TrainConfig, 'rotation = "ful"', CHOICE, "full"),
    (BuildConfig, "compute_capability = 8.6", TYPE, 'compute_capability = "8.6"'),
    (BuildConfig, 'runtime = "tensorrt_rtx"', CHOICE, "tensorrt-rtx"),
    (ExportConfig, "frame_size = 640", TYPE, 'frame_size = "640"'),
    (TrainConfig, "focal_gamma = nan", TYPE_OR_RANGE, "focal_gamma = 4.0"),
    (TrainConfig, "focal_gamma = -inf", TYPE_OR_RANGE, "focal_gamma = 4.0"),
    (TrainConfig, "seed = 0x7fffffffffffffff", "config/out-of-range", "--seed "),
    (
        TrainConfig,
        "seed = 1\nbatch = x",
        "config/unreadable-file",
        "correct the TOML file in line 2",
    ),
]


@pytest.mark.parametrize(("kind", "text", "code", "remedy"), INVALID_FILES)
def test_an_invalid_file_has_a_remedy(tmp_path, kind, text, code, remedy):
    with fails(ConfigError, code) as caught:
        make(kind, {}, toml(tmp_path, text))
    assert remedy in caught.value.remedy


def test_a_missing_file_is_named(tmp_path):
    with fails(ConfigError, "config/unreadable-file") as caught:
        make(TrainConfig, {}, tmp_path / "none.toml")
    assert "none.toml" in caught.value.problem


def test_a_file_in_another_encoding_is_to_be_saved_as_utf_8(tmp_path):
    file = tmp_path / "train.toml"
    file.write_bytes('rotation = "völl"'.encode("latin-1"))
    with fails(ConfigError, "config/unreadable-file") as caught:
        make(TrainConfig, {}, file)
    assert caught.value.remedy == "save the TOML file as UTF-8"


def test_sizes_are_read_as_width_by_height():
    assert parse_size("640x480", "--frame-size") == (480, 640)


@pytest.mark.parametrize("text", ["", "x", "640x", "x480", "0x480", "640x-1", "640 x 480", "axb"])
def test_an_invalid_size(text):
    with fails(ConfigError, "config/not-a-size") as caught:
        parse_size(text, "--window")
    assert caught.value.remedy == "--window 640x480"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10", 10), ("10s", 10), ("500ms", 0.5), ("1.5 S", 1.5), ("2min", 120), ("1ms", 0.001)],
)
def test_durations_have_a_unit(text, seconds):
    assert parse_duration(text, "--interval") == parse_pace(text, "--pace")
    assert parse_duration(text, "--interval") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "-1s", "0", "0.5ms", "10 m", "1e3", "1441min", "١s"])
def test_an_invalid_duration(text):
    with fails(ConfigError, "config/not-a-duration") as caught:
        parse_duration(text, "--interval")
    assert caught.value.remedy == "--interval 10s"


def test_a_pace_may_be_a_rate():
    assert parse_pace("30fps", "--pace") == pytest.approx(1 / 30)
    assert parse_pace("0.5 FPS", "--pace") == 2.0
    for text in ("0fps", "fps", "-3fps", "1000000fps"):
        with fails(ConfigError, "config/not-a-duration"):
            parse_pace(text, "--pace")


KINDS = [
    TrainConfig,
    *(
        kind
        for kind in vars(configurations).values()
        if isinstance(kind, type) and issubclass(kind, Settings) and dataclasses.is_dataclass(kind)
    ),
]
BOUNDED = [
    (kind, each.name, each.metadata["low"], each.metadata["high"])
    for kind in KINDS
    for each in dataclasses.fields(kind)
    if isinstance(each.metadata["low"], int | float)
]


@pytest.mark.parametrize(("kind", "name", "low", "high"), BOUNDED)
def test_the_remedy_for_a_wrong_value_is_a_value_inside_the_bounds(kind, name, low, high):
    wrong = [low - 1, *([high + 1] if isinstance(high, int | float) else [])]
    if isinstance(low, float) or isinstance(high, float):
        wrong += [math.nan, math.inf, -math.inf]
    for value in map(type(low), wrong) if isinstance(low, float) else wrong:
        with pytest.raises(ConfigError) as caught:
            kind(**{name: value})
        if caught.value.code in ("config/other-model", "config/image-size", "config/conflict"):
            return  # other checks come first
        assert caught.value.code == "config/out-of-range", caught.value
        flag, proposed = caught.value.remedy.split(" ", 1)
        assert flag == "--" + name.replace("_", "-") and "nan" not in proposed
        assert low <= float(proposed) and (
            not isinstance(high, int | float) or float(proposed) <= high
        )


@pytest.mark.parametrize("text", ["99999x99999", "65537x1", "1" * 5000 + "x2", "٣x٣"])
def test_a_size_beyond_any_frame(text):
    with fails(ConfigError, "config/not-a-size") as caught:
        parse_size(text, "--frame-size")
    assert len(caught.value.problem) < 200


def test_a_settings_file_is_measured_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "huge.toml"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    monkeypatch.setenv("EDGESEG_MAX_JSON_MB", "1")
    with fails(ConfigError, "config/unreadable-file"):
        make(TrainConfig, {}, path)


def test_the_remedy_for_nan_is_a_usual_value():
    with fails(ConfigError, "config/out-of-range") as caught:
        StreamConfig(image_threshold=math.nan)
    assert caught.value.remedy == "--image-threshold 0.5"
