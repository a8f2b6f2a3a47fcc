"""Settings are validated on construction; the remedy is the flag to type."""

import dataclasses

import pytest

from edgeseg.config import (
    BenchConfig,
    BuildConfig,
    CalibrateConfig,
    ExportConfig,
    GpuConfig,
    ProfileConfig,
    StreamConfig,
    VerifyConfig,
)
from edgeseg.errors import ConfigError
from edgeseg.recipes import TrainConfig
from edgeseg.reproduce.config import ReproduceConfig
from tests.kit.errors import fails


def test_every_field_is_documented_and_frozen():
    for kind in {kind for kind, *_ in INVALID}:
        for field in dataclasses.fields(kind):
            assert field.metadata["help"], f"{kind.__name__}.{field.name}"
        with pytest.raises(dataclasses.FrozenInstanceError):
            kind().anything = 1


RANGE, CHOICE, CONFLICT = "config/out-of-range", "config/not-a-choice", "config/conflict"
INVALID = [
    (TrainConfig, {"image_size": 250}, "config/image-size", "--image-size 256"),
    (TrainConfig, {"image_size": 0}, "config/image-size", "--image-size 64"),
    (TrainConfig, {"batch": 1}, RANGE, "--batch 2"),
    (TrainConfig, {"head_steps": -1}, RANGE, "--head-steps 0"),
    (TrainConfig, {"student_rate": 0.0}, RANGE, "--student-rate 1e-09"),
    (TrainConfig, {"top": 5000}, RANGE, "--top 3840"),
    (TrainConfig, {"image_size": 32, "top": 2000}, RANGE, "--top 1024"),
    (TrainConfig, {"opacity_max": 1.5}, RANGE, "--opacity-max 1.0"),
    (TrainConfig, {"opacity_min": 0.9, "opacity_max": 0.5}, RANGE, "--opacity-min 0.5"),
    (TrainConfig, {"lighting": float("nan")}, RANGE, "--lighting 0.5"),
    (TrainConfig, {"holdout": 1.0}, RANGE, "--holdout 0.9"),
    (TrainConfig, {"focal_gamma": -1.0}, RANGE, "--focal-gamma 0.0"),
    (TrainConfig, {"momentum": 9.0}, RANGE, "--momentum 1.0"),
    (TrainConfig, {"rotation": "sideways"}, CHOICE, "--rotation none"),
    (TrainConfig, {"texture_color": "grey"}, CHOICE, "--texture-color gray"),
    (ExportConfig, {"batch": 0}, RANGE, "--batch 1"),
    (ExportConfig, {"format": "rbg"}, CHOICE, "--format rgb"),
    (ExportConfig, {"frame_size": "640"}, "config/not-a-size", "--frame-size 640x480"),
    (
        ExportConfig,
        {"frame_size": "641x481", "format": "nv12"},
        "config/odd-size",
        "--frame-size 640x480",
    ),
    (ExportConfig, {"tolerance": -1e-4}, RANGE, "--tolerance 0.0"),
    (CalibrateConfig, {"good_count": 0}, "config/no-images", "--good-count 200"),
    (BuildConfig, {"precision": "f16"}, CHOICE, "--precision fp16"),
    (BuildConfig, {"runtime": "trt"}, CHOICE, "--runtime tensorrt"),
    (BuildConfig, {"workspace_mib": 0}, RANGE, "--workspace-mib 1"),
    (VerifyConfig, {"max_flip_rate": 7.0}, RANGE, "--max-flip-rate 1.0"),
    (ReproduceConfig, {"seeds": 0}, RANGE, "--seeds 1"),
    (GpuConfig, {"io": "fast"}, CHOICE, "--io auto"),
    (GpuConfig, {"cuda": "cupy"}, CHOICE, "--cuda auto"),
    (StreamConfig, {"camera": "0", "source": "a.mp4"}, CONFLICT, "--source a.mp4"),
    (StreamConfig, {"frames": 0}, RANGE, "--frames 1"),
    (StreamConfig, {"width": 640}, CONFLICT, "--width 1280 --height 720"),
    (StreamConfig, {"width": 1, "height": 99}, RANGE, "--width 16"),
    (StreamConfig, {"fps": 0.0}, RANGE, "--fps 0.1"),
    (StreamConfig, {"camera_format": "mjpg"}, CHOICE, "--camera-format mjpeg"),
    (BenchConfig, {"iterations": 0}, RANGE, "--iterations 1"),
    (BenchConfig, {"warmup": -1}, RANGE, "--warmup 0"),
    (BenchConfig, {"seconds": 0.0}, RANGE, "--seconds 0.001"),
    (BenchConfig, {"threads": 0}, RANGE, "--threads 1"),
    (BenchConfig, {"pace": "soon"}, "config/not-a-duration", "--pace 10s"),
    (BenchConfig, {"keep_warm": True}, "config/no-pace", "--keep-warm --pace 10s"),
    (ProfileConfig, {"iterations": 0}, RANGE, "--iterations 1"),
    (ProfileConfig, {"iterations": 1001}, RANGE, "--iterations 1000"),
    (ProfileConfig, {"warmup": -1}, RANGE, "--warmup 0"),
    (ProfileConfig, {"slowest": -1}, RANGE, "--slowest 0"),
    (ProfileConfig, {"threads": 0}, RANGE, "--threads 1"),
]


@pytest.mark.parametrize(("kind", "values", "code", "remedy"), INVALID)
def test_an_invalid_value_names_the_flag_to_type(kind, values, code, remedy):
    with fails(ConfigError, code) as caught:
        kind(**values)
    assert caught.value.remedy == remedy


def test_a_refused_address_is_shown_without_its_password():
    with pytest.raises(ConfigError) as caught:
        StreamConfig(camera="rtsp://u:secret@host/1", source="http://u:secret@host/2")
    assert "rtsp://host/1 and source is http://host/2" in caught.value.problem
    assert "secret" not in str(caught.value)


def test_the_pace_of_a_benchmark_is_a_rate_or_a_period():
    assert BenchConfig().period() is None
    assert BenchConfig(pace="25fps").period() == 0.04
    assert BenchConfig(pace="500ms", keep_warm=True).period() == 0.5


def test_a_frame_size_is_height_by_width():
    assert ExportConfig(frame_size="1920X1080").size() == (1080, 1920)
    assert ExportConfig().size() is None
