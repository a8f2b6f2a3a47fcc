"""Mirrors edgeseg/training/averaging.py."""

import torch
from torch import nn

from edgeseg.training.ema import RunningMean


def layer(value):
    found = nn.BatchNorm1d(1)
    with torch.no_grad():
        found.weight.fill_(value)
        found.running_mean.fill_(10 * value)
    return found


def follow(module, mean, values):
    for value in values:
        with torch.no_grad():
            module.weight.fill_(value)
            module.running_mean.fill_(10 * value)
        mean.update()


def test_the_mean_is_exponential_and_the_first_weights_are_taken_whole():
    module = layer(0.0)
    mean = RunningMean(module, 0.75, {})
    follow(module, mean, (4.0, 8.0, 0.0))
    mean.finish()  # 4, then 0.75 * 4 + 0.25 * 8 = 5, then 0.75 * 5
    assert module.weight.item() == 3.75
    assert module.running_mean.item() == 37.5


def test_without_a_decay_nothing_is_kept():
    module = layer(1.0)
    mean = RunningMean(module, 0.0, {})
    follow(module, mean, (4.0, 8.0))
    assert mean.state() == {}
    mean.finish()
    assert module.weight.item() == 8.0


def test_an_interrupted_mean_goes_on():
    module = layer(0.0)
    mean = RunningMean(module, 0.75, {})
    follow(module, mean, (4.0, 8.0))
    kept = {name: tensor.clone() for name, tensor in mean.state().items()}
    resumed = RunningMean(layer(8.0), 0.75, kept)
    follow(resumed.module, resumed, (0.0,))
    resumed.finish()
    assert resumed.module.weight.item() == 3.75
