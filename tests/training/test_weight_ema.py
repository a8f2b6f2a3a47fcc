"""`WeightEma`: the exponential moving average of the weights."""

import torch
from torch import nn

from edgeseg.training.optimizers import WeightEma


def layer(value):
    found = nn.BatchNorm1d(1)
    with torch.no_grad():
        found.weight.fill_(value)
        found.running_mean.fill_(10 * value)
    return found


def train_through(module, ema, values):
    for value in values:
        with torch.no_grad():
            module.weight.fill_(value)
            module.running_mean.fill_(10 * value)
        ema.update()


def test_ema_starts_with_the_first_weights():
    module = layer(0.0)
    ema = WeightEma(module, 0.75, {})
    train_through(module, ema, (4.0, 8.0, 0.0))
    ema.finish()  # 4, then 0.75 * 4 + 0.25 * 8 = 5, then 0.75 * 5
    assert module.weight.item() == 3.75
    assert module.running_mean.item() == 37.5


def test_ema_without_a_decay_is_disabled():
    module = layer(1.0)
    ema = WeightEma(module, 0.0, {})
    train_through(module, ema, (4.0, 8.0))
    assert ema.state() == {}
    ema.finish()
    assert module.weight.item() == 8.0


def test_ema_resumes_from_its_state():
    module = layer(0.0)
    ema = WeightEma(module, 0.75, {})
    train_through(module, ema, (4.0, 8.0))
    kept = {name: tensor.clone() for name, tensor in ema.state().items()}
    resumed = WeightEma(layer(8.0), 0.75, kept)
    train_through(resumed.module, resumed, (0.0,))
    resumed.finish()
    assert resumed.module.weight.item() == 3.75
