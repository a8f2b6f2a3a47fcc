"""Limits hold, and an environment variable raises them."""

import pytest

from edgeseg.config import ExportConfig
from edgeseg.errors import ConfigError
from edgeseg.limits import LIMITS, limit
from edgeseg.recipes import TrainConfig
from tests.kit.errors import fails


@pytest.mark.parametrize("name", LIMITS)
def test_an_environment_variable_raises_a_limit(name, monkeypatch):
    assert limit(name) == LIMITS[name]
    monkeypatch.setenv(name, "12345")
    assert limit(name) == 12345


@pytest.mark.parametrize("given", ["x", "-1", "0", "1e6", "٣", "9" * 400])
def test_an_invalid_environment_variable(given, monkeypatch):
    monkeypatch.setenv("EDGESEG_MAX_PIXELS", given)
    with fails(ConfigError, "config/limit") as caught:
        limit("EDGESEG_MAX_PIXELS")
    assert "export EDGESEG_MAX_PIXELS=" in caught.value.remedy


def test_frames_are_measured_before_memory_is_allocated(monkeypatch):
    with fails(ConfigError, "config/limit") as caught:
        ExportConfig(frame_size="60000x60000")
    assert "export EDGESEG_MAX_PIXELS=3600000000" in caught.value.remedy
    with fails(ConfigError, "config/limit"):
        ExportConfig(frame_size="4096x4096", batch=256)
    monkeypatch.setenv("EDGESEG_MAX_PIXELS", "3600000000")
    assert ExportConfig(frame_size="60000x60000").size() == (60_000, 60_000)


def test_the_networks_input_is_bounded(monkeypatch):
    with fails(ConfigError, "config/out-of-range") as caught:
        TrainConfig(image_size=1_000_000_032)
    assert caught.value.remedy == "--image-size 4096"
    monkeypatch.setenv("EDGESEG_MAX_IMAGE_SIZE", "8192")
    assert TrainConfig(image_size=8192).image_size == 8192
