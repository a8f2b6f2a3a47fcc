"""The cache holds the features that each step would have computed."""

import signal
from dataclasses import replace

import pytest
import torch

from edgeseg.errors import Interrupted
from edgeseg.model.teacher import Teacher
from edgeseg.recipes import TrainConfig
from edgeseg.training import feature_cache
from edgeseg.training.batches import Batches
from edgeseg.training.feature_cache import cache_bytes, teacher_features
from edgeseg.training.prepare import read_images
from edgeseg.training.step import autocast, precision
from edgeseg.training.train import train
from tests.training.test_phases import phases_of
from tests.training.test_train import assert_same_weights, interrupt_at

CPU = torch.device("cpu")
RESNET18 = [64, 128, 256]
VALUES = 64 * 64 * 64 + 128 * 32 * 32 + 256 * 16 * 16  # at 256 pixels


@pytest.fixture(scope="module")
def teacher():
    return Teacher("resnet18")


def test_cache_bytes_are_those_of_three_levels_at_stride_4_8_and_16():
    size = precision(CPU).itemsize
    assert cache_bytes(TrainConfig(), (256, 256), RESNET18, 10, 1000, CPU) == 10 * VALUES * size


@pytest.mark.parametrize(
    ("settings", "images", "steps"),
    [
        ({"rotation": "slight"}, 10, 1000),
        ({"lighting": 0.1}, 10, 1000),
        ({}, 10_000, 1000),  # exceeds MAX_BYTES
        ({}, 320, 10),  # each image is seen once
    ],
)
def test_cache_bytes_is_zero_where_the_cache_is_of_no_use(settings, images, steps):
    assert cache_bytes(TrainConfig(**settings), (256, 256), RESNET18, images, steps, CPU) == 0
    unchanged = TrainConfig(**settings, augmentation=False)
    if settings:
        assert cache_bytes(unchanged, (256, 256), RESNET18, images, steps, CPU) > 0


def test_cache_bytes_is_zero_on_a_gpu():
    assert cache_bytes(TrainConfig(), (256, 256), RESNET18, 10, 1000, torch.device("cuda")) == 0


@pytest.mark.parametrize("model", ["destseg", "stpm", "dskd"])
def test_loss_is_the_same_with_cached_teacher_features(plates, teacher, model):
    config = TrainConfig(model=model, image_size=64, batch=2)
    images = read_images(
        [sample.path for sample in plates.train[:5]], [], (64, 64), "stretch"
    ).pixels
    detector, (phase, *_) = phases_of(teacher, model=model)
    detector.eval()
    batches = Batches(images, config)
    computed = batches.make(0, 1)
    batches.features = teacher_features(detector, batches)
    known = batches.make(0, 1)
    assert [tuple(level.shape) for level in known.target] == [
        (2, 64, 16, 16),
        (2, 128, 8, 8),
        (2, 256, 4, 4),
    ]
    with torch.no_grad(), autocast(CPU):
        expected = phase.loss(computed)
        torch.testing.assert_close(phase.loss(known), expected, rtol=1e-3, atol=0)
        opposite = replace(known, target=[-level for level in known.target])
        assert abs(phase.loss(opposite) - expected) > 0.01 * expected


def test_uses_teacher_is_false_for_the_head(teacher):
    assert [phase.uses_teacher for phase in phases_of(teacher)[1]] == [True, False]


def test_fill_cache_runs_the_teacher_once_per_image(plates, quick, tmp_path, monkeypatch):
    seen = []
    forward = Teacher.forward

    def count(self, x):
        seen.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(Teacher, "forward", count)
    config = replace(quick, student_steps=7, head_steps=2)
    train(plates, config, tmp_path / "cached", preview=False)
    assert seen == [2, 2, 2, 2, 2]  # six images, then the head's two steps
    seen.clear()
    monkeypatch.setattr(feature_cache, "MAX_BYTES", 0)
    train(plates, config, tmp_path / "computed", preview=False)
    assert seen == [2] * 7 + [2, 2]


def test_a_resumed_run_caches_the_same_features(plates, quick, tmp_path, monkeypatch):
    config = replace(quick, student_steps=5, head_steps=0)
    train(plates, config, tmp_path / "whole", preview=False)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 0, 2, signal.SIGINT)
        with pytest.raises(Interrupted):
            train(plates, config, tmp_path / "run", preview=False)
    train(plates, config, tmp_path / "run", resume=True, preview=False)
    assert_same_weights(tmp_path / "whole", tmp_path / "run")
