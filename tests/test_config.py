"""Settings refuse nonsense at birth, from a flag and from a file, with what to type."""

import dataclasses

import pytest

from edgeseg.config import (
    AUTO_REWRITES,
    REWRITES,
    BenchConfig,
    BuildConfig,
    ExportConfig,
    StreamConfig,
    TrainConfig,
    VerifyConfig,
)
from edgeseg.errors import ConfigError


def test_every_field_is_documented_and_frozen():
    for kind in (TrainConfig, ExportConfig, BuildConfig, VerifyConfig, StreamConfig, BenchConfig):
        for field in dataclasses.fields(kind):
            assert field.metadata["help"], f"{kind.__name__}.{field.name}"
        with pytest.raises(dataclasses.FrozenInstanceError):
            kind().anything = 1


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
    (
        ExportConfig,
        {"rewrites": "poled"},
        "'poled'; auto, none, or of pooled, taps",
        "--rewrites pooled",
    ),
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


def test_a_benchmark_has_one_pace_or_none():
    assert BenchConfig().period() is None
    assert BenchConfig(fps=25.0).period() == 0.04
    assert BenchConfig(interval="500ms", keep_warm=True).period() == 0.5


def test_a_frame_size_is_height_by_width():
    assert ExportConfig(frame_size="1920X1080").size() == (1080, 1920)
    assert ExportConfig().size() is None


def test_rewrites_by_name_and_in_their_order():
    assert ExportConfig().rewrite_names() == AUTO_REWRITES
    assert ExportConfig(rewrites="none").rewrite_names() == ()
    assert ExportConfig(rewrites=" , ".join(REWRITES[::-1])).rewrite_names() == REWRITES
